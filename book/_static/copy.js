/* A button on each code block that copies it; made when the pointer or the keyboard first comes to the block. */
(() => {
  const furnish = block => {
    if (block.querySelector(":scope > button.copy") || block.closest(".cell_output")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy this code");
    button.addEventListener("click", async () => {
      const text = block.querySelector("pre").textContent.replace(/\n+$/, "\n");
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
        button.classList.add("done");
      } catch {                                    // not allowed here: select it, so that Ctrl+C does it
        getSelection().selectAllChildren(block.querySelector("pre"));
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; button.classList.remove("done"); }, 1600);
    });
    block.append(button);
  };
  const near = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      furnish(target);
    }
  }, { rootMargin: "300px" });
  const later = globalThis.requestIdleCallback || (run => setTimeout(run, 200));
  later(() => { for (const block of document.querySelectorAll("article div.highlight")) near.observe(block); });
})();
