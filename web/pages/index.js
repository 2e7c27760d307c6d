// On a narrow page one window is in front; the tabs say which.
for (const tab of document.querySelectorAll("nav button")) {
  tab.onclick = () => {
    for (const one of document.querySelectorAll("nav button"))
      one.setAttribute("aria-selected", String(one === tab));
    for (const section of document.querySelectorAll("main section"))
      section.classList.toggle("front", section.dataset.role === tab.dataset.role);
    const frame = document.querySelector("section.front iframe");
    frame.contentWindow.focus();
  };
}
