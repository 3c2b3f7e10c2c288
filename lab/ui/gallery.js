// Thumbnails under headings (gallery.py). All text goes in as text, never as HTML.

export default function ({ data, parentElement, setTriggerValue }) {
  let root = parentElement.querySelector(".groups")
  if (!root) {
    root = parentElement.appendChild(element("div", "groups"))
  }
  const held = root.querySelector(".thumb:focus")?.dataset.item
  root.replaceChildren(...data.groups.map((group) => section(group, data, setTriggerValue)))
  if (held) root.querySelector(`.thumb[data-item="${held}"]`)?.focus() // the keyboard stays there
}

function section({ title, note, thumbs }, data, send) {
  const box = element("div", "group")
  if (title) {
    const head = box.appendChild(element("div", "head"))
    head.append(title)
    if (note) head.appendChild(element("span", "")).textContent = note
  }
  const row = box.appendChild(element("div", "row"))
  row.append(...thumbs.map((thumb) => picture(thumb, data, send)))
  return box
}

function picture({ item, source, alt, caption, tone, chosen }, { side, clickable }, send) {
  const thumb = element(clickable ? "button" : "figure", "thumb")
  thumb.dataset.item = item
  thumb.style.width = `${side}px`
  const frame = thumb.appendChild(element("span", `frame ${tone}${chosen ? " chosen" : ""}`))
  frame.style.height = `${side}px`
  if (source) {
    Object.assign(frame.appendChild(document.createElement("img")), { src: source, alt, title: alt })
  } else {
    frame.appendChild(element("span", "gone")).textContent = "no picture"
  }
  if (caption) thumb.appendChild(element("span", "caption")).textContent = caption
  if (clickable) {
    thumb.type = "button"
    thumb.setAttribute("aria-pressed", chosen)
    thumb.onclick = () => send("clicked", item)
  }
  return thumb
}

function element(tag, name) {
  const made = document.createElement(tag)
  made.className = name
  return made
}
