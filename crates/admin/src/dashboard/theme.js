// Light or dark, before anything is drawn: as the system says, unless a person said otherwise here.
"use strict";
{
  let kept = null;
  try {
    kept = localStorage.getItem("theme");
  } catch {
    // A browser that keeps nothing: as the system says.
  }
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
}
