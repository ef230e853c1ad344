// What is wrong with the layout of the page that is open, a line for each fault. SMALLEST is in CSS pixels.
// "sticks out": beyond the window, and in no box that scrolls. "scrolls unseen": in one, which shows no mark for it or
// cannot be reached by keyboard. "spills": wider than its own box. "cut": hidden by a box around it.
(() => {
  const found = [], seen = new Set(), width = document.documentElement.clientWidth;
  const say = (what, element) => {
    const kind = (element.getAttribute("class") || "").trim().replaceAll(" ", ".");
    const line = `${what}: ${element.tagName.toLowerCase()}.${kind} '${element.textContent.trim().slice(0, 30)}'`;
    if (!seen.has(line)) { seen.add(line); found.push(line); }
  };
  const above = function* (element) {
    for (let e = element; e && e !== document.body; e = e.parentElement) yield [e, getComputedStyle(e)];
  };
  const hidden = element => [...above(element)].some(([, style]) =>
    style.display === "none" || style.visibility === "hidden" || style.clipPath === "inset(50%)");
  const box = element => [...above(element.parentElement)].find(([e, style]) =>
    ["auto", "scroll"].includes(style.overflowX) && e.scrollWidth > e.clientWidth)?.[0];
  const outside = place => place.width > 0 && (place.right > width + 0.5 || place.left < -0.5);

  if (document.documentElement.scrollWidth > width)
    found.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${width}`);
  for (const element of (document.body || document.documentElement).querySelectorAll("*")) {
    if (["title", "script", "style"].includes(element.tagName.toLowerCase()) || hidden(element)) continue;
    const style = getComputedStyle(element), scroller = box(element);
    if (outside(element.getBoundingClientRect())) {
      if (!scroller) say("sticks out", element);
      else if (getComputedStyle(scroller).backgroundImage === "none" || scroller.tabIndex < 0)
        say("scrolls unseen", scroller);
    }
    if (!(element instanceof SVGElement) && style.display !== "inline" && element.clientWidth > 0 &&
        element.scrollWidth > element.clientWidth + 1) {
      if (["hidden", "clip"].includes(style.overflowX)) say("cut", element);
      if (style.overflowX === "visible") say("spills", element);
    }
    const words = [...element.childNodes].filter(node => node.nodeType === 3 && node.textContent.trim());
    for (const word of words) {
      const range = document.createRange();
      range.selectNodeContents(word);
      const place = range.getBoundingClientRect();
      if (!scroller && outside(place)) say("sticks out", element);
      for (const [e, how] of above(element)) {
        const frame = e.getBoundingClientRect();
        if (e instanceof SVGElement) continue;
        if (how.overflowY !== "visible" && (place.top < frame.top - 1 || place.bottom > frame.bottom + 1))
          say("cut", element);
        if (["hidden", "clip"].includes(how.overflowX) && (place.left < frame.left - 1 || place.right > frame.right + 1))
          say("cut", element);
      }
    }
    const matrix = element.getScreenCTM?.();  // an SVG's letters are scaled with it
    const size = parseFloat(style.fontSize) * (matrix ? Math.hypot(matrix.a, matrix.b) : 1);
    if (words.length && size < SMALLEST) say(`letters of ${size.toFixed(1)}`, element);
    for (const part of ["::before", "::after"]) {
      const own = getComputedStyle(element, part);
      if (!["none", "normal", '""'].includes(own.content) && parseFloat(own.fontSize) < SMALLEST)
        say(`letters of ${own.fontSize} in ${part}`, element);
    }
  }
  for (const svg of document.querySelectorAll("svg")) {  // words of a plot that lie on each other
    const texts = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
    texts.forEach(([one, a], i) => texts.slice(i + 1).forEach(([other, b]) => {
      if (a.right > b.left + 1 && b.right > a.left + 1 && a.bottom > b.top + 2 && b.bottom > a.top + 2)
        found.push(`'${one}' lies on '${other}'`);
    }));
  }
  return found;
})()
