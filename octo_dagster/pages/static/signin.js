// Who follows a link from another site (a chat, an e-mail) has a session, but his browser does not show it on
// such a way. Going on from here, it does: try once; without a session one comes back to this form.
const PAUSE = 10_000; // milliseconds within which one has just tried

export function start(form) {
  const tried = Number(sessionStorage.getItem("tried"));
  if (Date.now() - tried < PAUSE) return;
  sessionStorage.setItem("tried", String(Date.now()));
  location.replace(form.elements.next.value);
}
