// One window: where its WebSocket is, and how large its letters are. The font has to be there before
// the terminal measures it.
document.addEventListener("DOMContentLoaded", async () => {
  const here = new URL(location.href);
  const terminal = document.createElement("div");
  terminal.id = "terminal";
  terminal.className = "textual-terminal";
  const scheme = here.protocol === "https:" ? "wss:" : "ws:";
  terminal.dataset.sessionWebsocketUrl = `${scheme}//${here.host}${here.pathname}/ws`;
  // Smaller letters, down to 9 pixels, where 80 columns would not fit; a letter is 0.6 of them wide.
  terminal.dataset.fontSize = Math.max(9, Math.min(14, Math.floor(innerWidth / 80 / 0.6)));
  document.body.append(terminal);
  document.getElementById("again").onclick = () => location.reload();
  await document.fonts.load("14px 'Roboto Mono'").catch(() => {});
  const script = document.createElement("script");
  script.src = "/web/textual.js";
  script.onload = () => {
    if (document.readyState === "complete") window.onload();
  };
  document.head.append(script);
});
