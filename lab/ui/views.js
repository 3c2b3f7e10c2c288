// Every look at one picture, the average as it grows, and why it flipped (views.py).
// The arithmetic is that of lab/analysis/tta.py; a test compares them. Text goes in as text only.

const pages = new WeakMap() // parentElement -> what the reader has set

export default function ({ data, parentElement }) {
  const known = pages.get(parentElement)
  const root = known?.root ?? parentElement.appendChild(element("div", "views"))
  const stamp = JSON.stringify([data.looks.map((look) => look.probs), data.way, data.beta])
  // What is set stays while pictures arrive; another picture starts anew, at the end.
  const page = known?.stamp === stamp
    ? known : { root, stamp, at: data.looks.length - 1, way: data.way, weights: null }
  pages.set(parentElement, page)
  build(page, data)
}

// Arithmetic

function usual(way, n, beta) {
  if (way !== "fastai" || n === 1) return Array(n).fill(1 / n)
  return [beta, ...Array(n - 1).fill((1 - beta) / (n - 1))]
}

// What each of the looks 0..at counts, summing to 1; the plain one alone where they weigh nothing.
function shares(way, weights, at) {
  const now = weights.slice(0, at + 1)
  const alone = now.map((_, index) => (index ? 0 : 1))
  if (way === "fastai") {
    const rest = total(now.slice(1))
    if (!(rest > 0)) return alone
    const plain = now[0] / total(weights)
    return now.map((w, index) => (index ? ((1 - plain) * w) / rest : plain))
  }
  const all = total(now)
  return all > 0 ? now.map((w) => w / all) : alone
}

function combine(way, probs, share, tiny) {
  const n = probs[0].length
  const over = (value) => Array.from({ length: n }, (_, c) => value(c))
  if (way === "max") {
    return rescaled(over((c) => Math.max(...share.map((w, i) => w * probs[i][c]))))
  }
  if (way === "geometric" || way === "logits") {
    const logs = over((c) => total(share.map((w, i) => w * Math.log(Math.max(probs[i][c], tiny)))))
    const top = Math.max(...logs)
    return rescaled(logs.map((value) => Math.exp(value - top)))
  }
  return over((c) => total(share.map((w, i) => w * probs[i][c])))
}

// What each look adds to the lead of one class above another; sums to the lead.
function pulls(way, probs, share, over, under, tiny) {
  if (way === "max") {
    const holds = (c) => share.map((w, i) => w * probs[i][c])
    const tops = probs[0].map((_, c) => Math.max(...holds(c)))
    const scale = total(tops)
    const first = (c) => holds(c).indexOf(tops[c])
    return share.map((_, i) =>
      ((i === first(over) ? tops[over] : 0) - (i === first(under) ? tops[under] : 0)) / scale)
  }
  const log = way === "geometric" || way === "logits"
  const value = (p) => (log ? Math.log(Math.max(p, tiny)) : p)
  return share.map((w, i) => w * (value(probs[i][over]) - value(probs[i][under])))
}

// The strongest pulls, as few as outweigh all that held against them.
function decisive(pull) {
  let left = total(pull.filter((value) => value < 0))
  const found = []
  for (const i of order(pull).filter((index) => pull[index] > 0)) {
    if (left > 0) break
    found.push(i)
    left += pull[i]
  }
  return found
}

const total = (values) => values.reduce((sum, value) => sum + value, 0)
const rescaled = (values) => { const sum = total(values); return values.map((v) => v / sum) }
const best = (values) => values.indexOf(Math.max(...values))
const order = (values) => values.map((_, i) => i).sort((a, b) => values[b] - values[a])

// The page. Built once for a picture; `show` redraws what depends on scrubber, way and weights.

function build(page, data) {
  const { looks } = data
  const probs = looks.map((look) => look.probs)
  const cards = element("div", "cards")
  const boxes = looks.map((look, i) => card(look, i, data))
  cards.append(...boxes.map((box) => box.card))
  if (looks.length < 2) {
    page.root.replaceChildren(cards)
    return
  }
  const left = element("div", "")
  const label = left.appendChild(element("label", "label"))
  label.append("The average, look by look")
  const count = label.appendChild(element("span", ""))
  const range = label.appendChild(document.createElement("input"))
  Object.assign(range, { type: "range", min: 0, max: looks.length - 1, step: 1 })
  range.value = page.at
  range.setAttribute("aria-label", "How many views are averaged")
  const said = left.appendChild(element("p", "said"))
  said.setAttribute("aria-live", "polite")
  const bars = left.appendChild(element("div", "average"))
  left.append(key(data))
  const right = element("div", "")
  const curve = right.appendChild(element("div", ""))
  const ways = right.appendChild(element("div", "ways"))
  const sum = element("div", "sum")
  sum.append(left, right)
  const why = element("div", "why")
  const reset = element("button", "reset")
  reset.textContent = "Usual weights again"
  const head = element("div", "head")
  head.append(hint(), reset)

  const show = () => {
    const weights = page.weights ?? usual(page.way, looks.length, data.beta)
    const at = (last, way = page.way, w = weights) =>
      combine(way, probs.slice(0, last + 1), shares(way, w, last), data.tiny)
    const now = at(page.at)
    const share = shares(page.way, weights, page.at)
    count.textContent = page.at ? `plain + ${page.at} of ${looks.length - 1} views` : "plain only"
    range.setAttribute("aria-valuetext", count.textContent)
    said.replaceChildren(...sentence(now, data))
    bars.replaceChildren(...rows(now, data, probs[0]))
    curve.replaceChildren(lines(looks.map((_, last) => at(last)), page.at, data))
    ways.replaceChildren(...wayRows(page, data, (way) =>
      at(page.at, way, page.weights ?? usual(way, looks.length, data.beta)), choose))
    const found = flip(page.way, probs.slice(0, page.at + 1), share, now, data.tiny)
    why.replaceChildren(...whyWords(found, page, data))
    reset.hidden = !page.weights
    boxes.forEach((box, i) => {
      box.card.classList.toggle("later", i > page.at)
      box.card.classList.toggle("pulled", found.flipped && found.strong.includes(i))
      if (document.activeElement !== box.weight && box.weight.getRootNode().activeElement !== box.weight) {
        box.weight.value = number(100 * weights[i])
      }
      box.share.textContent = i > page.at ? "not yet averaged" : `counts ${percent(share[i])}`
      box.pull.replaceChildren(...(i > page.at ? [] : pullWords(found, i, page.way, data)))
    })
  }
  const choose = (way) => { page.way = way; show() }
  range.oninput = () => { page.at = Number(range.value); show() }
  reset.onclick = () => { page.weights = null; show() }
  boxes.forEach((box, i) => {
    box.weight.oninput = () => {
      const value = Number(box.weight.value)
      const ok = box.weight.value !== "" && Number.isFinite(value) && value >= 0
      const next = [...(page.weights ?? usual(page.way, looks.length, data.beta))]
      next[i] = value / 100
      const sums = ok && total(next) > 0
      box.weight.setAttribute("aria-invalid", String(!sums))
      if (!sums) return
      page.weights = next
      show()
    }
    box.weight.onblur = show
  })
  page.root.replaceChildren(sum, why, head, cards)
  show()
}

function hint() {
  const words = element("p", "hint")
  words.textContent = "Each look, with its weight. Change a weight to see what the average makes of it."
  return words
}

function card({ title, source, probs, size: [height, width] }, index, data) {
  const { names, truth, colour } = data
  const box = element("div", "card")
  const head = box.appendChild(document.createElement("h4"))
  head.append(title)
  const answer = best(probs)
  const verdict = truth < 0 ? "" : answer === truth ? ": right" : ": wrong"
  head.appendChild(document.createElement("small")).textContent = `says ${names[answer]}${verdict}`
  const picture = box.appendChild(document.createElement(source ? "img" : "div"))
  if (source) Object.assign(picture, { src: source, alt: `${title}, ${height} by ${width} pixels` })
  else {
    picture.className = "none"
    picture.textContent = "no picture"
    picture.style.height = `${Math.min(height, 120)}px`
  }
  picture.style.borderColor = colour
  picture.style.width = `${width}px`
  const line = element("label", "weight")
  const weight = document.createElement("input")
  Object.assign(weight, { type: "number", min: 0, step: "any", inputMode: "decimal" })
  weight.setAttribute("aria-label", `Weight of ${title}`)
  const share = element("span", "")
  line.append("Weight", weight, share)
  const pull = element("p", "pull")
  if (data.looks.length > 1) box.append(line, pull)
  box.append(...rows(probs, data))
  return { card: box, weight, share, pull }
}

function sentence(now, { names, truth }) {
  const answer = best(now)
  const strong = element("b", "")
  strong.textContent = names[answer]
  const verdict = truth < 0 ? "" : answer === truth ? ": right" : ": wrong"
  return ["The answer is now ", strong, ` (${percent(now[answer])})${verdict}.`]
}

// Each way of averaging, with the same looks: its answer, and a click makes it the one shown.
function wayRows(page, data, average, choose) {
  const { ways, names, truth } = data
  const title = element("div", "label")
  title.textContent = "What each way of averaging says"
  const made = Object.entries(ways).map(([way, words]) => {
    const probs = average(way)
    const answer = best(probs)
    const row = element("button", `way${way === page.way ? " on" : ""}`)
    row.setAttribute("aria-pressed", String(way === page.way))
    row.dataset.way = way
    row.dataset.share = probs[answer]
    const mark = truth < 0 ? "" : answer === truth ? "✓ " : "✗ "
    row.appendChild(element("span", "")).textContent = words
    row.appendChild(element("span", "what")).textContent = `${mark}${names[answer]}`
    row.appendChild(element("span", "value")).textContent = percent(probs[answer])
    row.onclick = () => {
      choose(way)
      page.root.querySelector(`[data-way="${way}"]`)?.focus()
    }
    return row
  })
  return [title, ...made]
}

// Which two classes are at stake, and what each look adds to the lead of the answer.
function flip(way, probs, share, now, tiny) {
  const before = best(probs[0])
  const over = best(now)
  const flipped = over !== before
  const under = flipped ? before : order(now)[1] ?? over
  const pull = over === under ? share.map(() => 0) : pulls(way, probs, share, over, under, tiny)
  return { over, under, flipped, pull, strong: flipped ? decisive(pull) : [] }
}

function whyWords({ over, under, flipped, pull, strong }, page, { names, looks }) {
  const head = element("h3", "")
  head.textContent = flipped ? "Why did it flip?" : "Why did it not flip?"
  const text = element("p", "")
  const name = (i) => `${looks[i].title} (${signed(pull[i], page.way)})`
  const bold = (words) => { const b = element("b", ""); b.textContent = words; return b }
  const lead = signed(total(pull), page.way).slice(1)
  const against = order(pull).reverse().filter((i) => pull[i] < 0)
  if (page.at === 0) {
    head.textContent = "Why did it flip?"
    text.append("Move the scrubber: the plain picture is still alone.")
  } else if (flipped) {
    const also = order(pull).filter((i) => pull[i] > 0 && !strong.includes(i))
    text.append("The plain picture says ", bold(names[under]), ", the average ", bold(names[over]),
      `, which leads by ${lead}. Pulled over by `, bold(strong.map(name).join(", ")), ". ")
    if (also.length) text.append(`Also for it: ${also.map(name).join(", ")}. `)
    text.append(against.length ? `Against it: ${against.map(name).join(", ")}.`
      : "No look was against it.")
  } else {
    text.append("The answer stays ", bold(names[over]), `, ahead of ${names[under]} by ${lead}. `)
    text.append(against.length ? `Towards ${names[under]} pulled ${against.map(name).join(", ")}.`
      : `No look prefers ${names[under]}.`)
  }
  return [head, text]
}

function pullWords({ over, under, pull, flipped, strong }, i, way, { names }) {
  if (over === under) return []
  const words = element("span", "")
  const to = pull[i] >= 0 ? names[over] : names[under]
  words.textContent = `${signed(Math.abs(pull[i]), way)} for ${to}`
  if (!(flipped && strong.includes(i))) return [words]
  const badge = element("b", "badge")
  badge.textContent = "pulled it over"
  return [words, badge]
}

// One row a class, always in the same order; `before`: a tick at the plain picture's share.
function rows(probs, { names, shown, truth, tones }, before) {
  const top = best(probs)
  const made = shown.map((c) => {
    const wrong = truth < 0 ? tones.answer : tones.bad
    const tone = c === truth ? tones.good : c === top ? wrong : tones.other
    const text = c === truth ? `${names[c]} (true)` : names[c]
    return bar(text, probs[c], tone, c === top, before?.[c])
  })
  const rest = names.length - shown.length
  const left = Math.max(0, 1 - total(shown.map((c) => probs[c])))
  if (rest > 0) made.push(bar(`${rest} others`, left, tones.other, false))
  return made
}

function bar(name, share, tone, top, before) {
  const box = element("div", `bar${top ? " top" : ""}`)
  Object.assign(box.dataset, { name, share })
  const label = box.appendChild(element("span", "name"))
  label.textContent = label.title = name
  const track = box.appendChild(element("span", "track"))
  const fill = track.appendChild(element("span", "fill"))
  Object.assign(fill.style, { width: `${100 * share}%`, background: tone })
  if (before !== undefined) {
    track.appendChild(element("span", "tick")).style.left = `${100 * before}%`
  }
  box.appendChild(element("span", "value")).textContent = percent(share)
  return box
}

function key({ tones, truth }) {
  const box = element("div", "key")
  const entry = (kind, colour, text) => {
    const item = box.appendChild(element("span", ""))
    const mark = item.appendChild(element("i", kind))
    if (colour) mark.style.background = colour
    item.append(text)
  }
  if (truth < 0) entry("box", tones.answer, "answer")
  else {
    entry("box", tones.good, "true class")
    entry("box", tones.bad, "answer, where it is wrong")
  }
  entry("line", "", "plain picture alone")
  return box
}

// The shares over the looks: the main class thick, its strongest rival dashed, the rest thin.
function lines(running, at, { names, shown, truth, tones }) {
  const [width, height, left, right, top, bottom] = [360, 200, 34, 8, 20, 34]
  const last = running.length - 1
  const x = (index) => left + ((width - left - right) * index) / last
  const y = (share) => top + (height - top - bottom) * (1 - share)
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" })
  const most = (c) => Math.max(...running.map((row) => row[c]))
  const main = truth < 0 ? best(running[last]) : truth
  const rival = shown.filter((c) => c !== main).sort((a, b) => most(b) - most(a))[0]
  svg.setAttribute("aria-label", `Share of ${names[main]} from ${percent(running[0][main])} ` +
    `with the plain picture to ${percent(running[last][main])} with all views`)
  const write = (text, place) => svg.appendChild(shape("text", place)).append(text)
  for (const share of [0, 0.5, 1]) {
    svg.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: y(share), y2: y(share) }))
    write(`${100 * share} %`, { x: left - 6, y: y(share) + 4, "text-anchor": "end" })
  }
  for (const c of shown) {
    const good = truth < 0 ? tones.answer : tones.good
    const colour = c === main ? good : c === rival ? tones.bad : tones.other
    const d = running.map((row, step) => `${step ? "L" : "M"}${x(step)} ${y(row[c])}`).join("")
    const wide = c === main ? 3 : c === rival ? 2 : 1
    svg.append(shape("path", { d, stroke: colour, "stroke-width": wide,
      "stroke-dasharray": c === rival ? "6 4" : "none", opacity: wide === 1 ? 0.5 : 1 }))
  }
  const every = last > 12 ? Math.ceil(last / 8) : 1
  for (let step = 0; step <= last; step += every) {
    write(step ? String(step) : "plain", { x: x(step), y: height - 18, "text-anchor": "middle" })
  }
  write("views averaged", { x: (left + width) / 2, y: height - 3, "text-anchor": "middle" })
  write(`${shortened(names[main])}${truth < 0 ? "" : " (true)"}, thick`, { x: left, y: 11 })
  if (rival !== undefined) {
    write(`${shortened(names[rival])}, dashed`, { x: width - right, y: 11, "text-anchor": "end" })
  }
  svg.append(shape("line", { class: "now", y1: top, y2: height - bottom, x1: x(at), x2: x(at) }))
  return svg
}

const shortened = (name) => (name.length > 20 ? `${name.slice(0, 19)}…` : name)
const percent = (share) => `${(100 * share).toFixed(1)}\u202f%`
const number = (value) => String(Number(value.toPrecision(6)))

// A lead: in points of probability, or of log odds where logarithms are averaged.
function signed(value, way) {
  const log = way === "geometric" || way === "logits"
  const size = log ? Math.abs(value).toFixed(2) : Math.abs(100 * value).toFixed(1)
  return `${value < 0 ? "−" : "+"}${size}\u202f${log ? "log odds" : "points"}`
}

function shape(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  return made
}

function element(tag, name) {
  const made = document.createElement(tag)
  made.className = name
  return made
}
