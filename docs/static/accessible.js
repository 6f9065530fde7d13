// What assistive technology needs and the theme leaves out.

// Sphinx marks the captions of the navigation as headings, without their level.
for (const caption of document.querySelectorAll('[role="heading"]:not([aria-level])')) {
  caption.setAttribute("aria-level", "2");
}

// Only what scrolls is a stop of the Tab key: the arrow keys scroll it then.
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
for (const box of document.querySelectorAll("article pre, .table-wrapper")) resized.observe(box);
