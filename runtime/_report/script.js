"use strict";
document.documentElement.classList.add("live");
for (const compare of document.querySelectorAll(".compare")) {
  const slider = compare.querySelector("input");
  const move = () => {
    compare.style.setProperty("--split", slider.value + "%");
    slider.setAttribute("aria-valuetext", slider.value + "% source");
  };
  slider.addEventListener("input", move);
  move();
}
const follow = () => {
  const named = /^#sample-(\d+)(?:@(\d{1,3}))?$/.exec(location.hash);
  const pick = named && document.getElementById("pick-" + named[1]);
  if (!pick) return;
  pick.checked = true;
  const sample = document.getElementById("sample-" + named[1]);
  if (named[2]) {
    for (const slider of sample.querySelectorAll("input")) {
      slider.value = named[2];
      slider.dispatchEvent(new Event("input"));
    }
  }
};
addEventListener("hashchange", follow);
follow();
