// New pictures with their likeliest classes (predict_gallery.py). All text goes in as text.

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".cards") ?? parentElement.appendChild(made("div", "cards"))
  root.replaceChildren(...data.cards.map((card) => drawn(card, data)))
}

function drawn({ name, thumb, bars, change, note, second, second_bars }, data) {
  const card = made("figure", "card")
  const picture = card.appendChild(document.createElement(thumb ? "img" : "span"))
  if (thumb) Object.assign(picture, { src: thumb, alt: name })
  else Object.assign(picture, { className: "none", textContent: "no picture" })
  const said = card.appendChild(made("figcaption", "said"))
  const head = said.appendChild(made("div", "name"))
  head.textContent = head.title = name
  said.append(...bars.map((bar, at) => row(bar, at, data)))
  if (second) {
    said.appendChild(made("div", "head")).textContent = second
    said.append(...second_bars.map((bar, at) => row(bar, at, data)))
  }
  if (change) card.appendChild(made("p", "more")).textContent = change
  if (note) card.appendChild(made("p", "more note")).textContent = note
  return card
}

function row({ name, share, before }, at, { other }) {
  const bar = made("div", at ? "bar" : "bar top")
  bar.appendChild(document.createElement("b")).textContent = name
  bar.appendChild(document.createElement("i")).textContent = percent(share)
  const track = bar.appendChild(made("span", "track"))
  const fill = track.appendChild(made("span", "fill"))
  fill.style.width = `${100 * share}%`
  if (at) fill.style.background = other
  if (before !== null) {
    track.appendChild(made("span", "tick")).style.left = `${100 * before}%`
    track.title = `${percent(before)} without views`
  }
  return bar
}

function percent(share) {
  return `${(100 * share).toFixed(1)}\u202f%`
}

function made(tag, name) {
  const element = document.createElement(tag)
  element.className = name
  return element
}
