// Wide tables can be scrolled by keyboard. The theme wraps them when a page has been loaded.
addEventListener("load", () => {
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) table.tabIndex = 0;
});
