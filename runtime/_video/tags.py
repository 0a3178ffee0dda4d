"""Metadata of a container and its streams, as another container can hold it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from av.container import InputContainer
from av.stream import Stream

ISO = frozenset({"mp4", "mov"})  # libav's muxers

# What the muxer states itself, about the file that it writes.
_OWN = {"encoder", "major_brand", "minor_version", "compatible_brands"}
_OWN_OF_STREAM = {"encoder", "duration", "bps", "number_of_frames", "number_of_bytes", "vendor_id"}
_STATISTICS = re.compile(r"(?i)(_statistics_.*|(bps|duration|number_of_frames|number_of_bytes)-[a-z]{3})")
_ISO_ONLY = {"handler_name", "creation_time"}  # said of every stream there
# Names that the classic tags of MP4 can hold; others need the newer form (`mdta`), which fewer players read.
_CLASSIC = frozenset(
    {
        "title",
        "artist",
        "album_artist",
        "album",
        "author",
        "composer",
        "writer",
        "date",
        "year",
        "comment",
        "genre",
        "copyright",
        "grouping",
        "lyrics",
        "description",
        "synopsis",
        "show",
        "episode_id",
        "network",
        "keywords",
        "compilation",
        "disc",
        "track",
        "rating",
        "creation_time",
        "timecode",
        "gapless_playback",
        "hd_video",
        "media_type",
        "account_type",
        "purchase_date",
        "episode_sort",
        "season_number",
        "sort_name",
        "sort_artist",
        "sort_album_artist",
        "sort_album",
        "sort_composer",
        "sort_show",
        "podcast",
        "location",
    }
)


def container_tags(source: InputContainer, muxer: str) -> dict[str, str]:
    """The source's tags without those that the muxer states itself."""
    own = _OWN if muxer in ISO else {*_OWN, "duration"}
    return {key: value for key, value in source.metadata.items() if key.lower() not in own}


def beyond_classic(tags: Mapping[str, str]) -> list[str]:
    """Those of `tags` that MP4's classic tags cannot hold."""
    return [key for key in tags if re.sub(r"-[a-z]{3}$", "", key.lower()) not in _CLASSIC]  # `comment-eng`


def stream_tags(stream: Stream, muxer: str) -> dict[str, str]:
    """The stream's tags without those that the muxer states itself, or that belong to the source's container."""
    tags = {
        key: value
        for key, value in stream.metadata.items()
        if key.lower() not in _OWN_OF_STREAM and not _STATISTICS.fullmatch(key)
    }
    if "name" in tags:  # what MP4 reads under this name is written under the other
        tags.setdefault("title", tags.pop("name"))
    if muxer not in ISO and "mov" in stream.container.format.name:
        tags = {key: value for key, value in tags.items() if key.lower() not in _ISO_ONLY}
    return tags
