// Light or dark, before anything is drawn: as the system says, unless a person said otherwise here.
"use strict";
{
  const kept = localStorage.getItem("theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
}
