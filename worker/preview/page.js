// A frame does not grow with what it holds; these do. Without a script they are scrolled.
const fit = (frame) => {
  const content = frame.contentDocument?.documentElement;
  if (content?.offsetHeight) frame.style.height = `${content.offsetHeight}px`;
};
const watch = new ResizeObserver((seen) => requestAnimationFrame(() => seen.forEach((entry) => fit(entry.target))));
for (const frame of document.querySelectorAll("iframe")) {
  frame.addEventListener("load", () => fit(frame));
  watch.observe(frame);
}
