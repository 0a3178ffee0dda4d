"""What the network sees of a crop: `pixels_u8`, `pixels_u16`, `pixels_rgb16`."""
