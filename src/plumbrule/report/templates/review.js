(() => {
  const open = (element) => {
    for (let at = element; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true
  }
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1))
    if (!target) return
    open(target)
    target.tabIndex = -1
    target.scrollIntoView({ block: "center" })
    target.focus({ preventScroll: true })
  }
  addEventListener("hashchange", reveal)
  reveal()
  for (const button of document.querySelectorAll("button[data-open]")) {
    button.hidden = false
    button.addEventListener("click", () => {
      for (const node of document.querySelectorAll("details.node")) node.open = button.dataset.open === "all"
    })
  }
})()
