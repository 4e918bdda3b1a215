// Keeps the facts of the operators' page as they are now. Without it the page says how they were when it was opened.
(() => {
  const seconds = 5;
  const facts = (page) => page.getElementById("read-only-facts");
  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.pathname, { credentials: "same-origin" });
      if (!answer.ok || answer.redirected) return;
      const now = facts(new DOMParser().parseFromString(await answer.text(), "text/html"));
      const before = facts(document);
      if (!now) return;
      if (now.dataset.state !== before.dataset.state) {
        const moved = document.getElementById("read-only-moved");
        moved.textContent = moved.dataset.text;
      }
      before.replaceWith(document.adoptNode(now));
    } catch { /* the site may be away for a moment: the next look tells */ }
  };
  if (facts(document)) setInterval(look, seconds * 1000);
})();
