// Where a replay stands (scrubber.py). While it is held by hand, updates wait.

const scrubbers = new WeakMap() // parentElement -> Scrubber

export default function ({ data, parentElement, setTriggerValue }) {
  let scrubber = scrubbers.get(parentElement)
  if (!scrubber) {
    scrubber = new Scrubber(parentElement)
    scrubbers.set(parentElement, scrubber)
  }
  scrubber.update(data, (value) => setTriggerValue("moved", value))
}

class Scrubber {
  constructor(parent) {
    const label = parent.appendChild(document.createElement("label"))
    label.className = "scrubber"
    this.words = label.appendChild(document.createElement("span"))
    this.input = label.appendChild(document.createElement("input"))
    this.input.type = "range"
    this.input.setAttribute("aria-label", "Epochs done")
    this.bands = label.appendChild(document.createElement("div"))
    this.bands.className = "bands"
    this.held = false
    this.input.addEventListener("input", () => (this.held = true))
    this.input.addEventListener("change", () => {
      this.held = false
      this.tell(this.input.valueAsNumber)
    })
  }

  update(data, tell) {
    this.tell = tell
    if (this.held) return
    Object.assign(this.input, { min: data.first, max: data.last, step: "any" })
    this.input.value = data.at
    this.input.setAttribute("aria-valuetext", data.words)
    this.words.textContent = data.words
    const whole = Math.max(data.last - data.first, 1e-9)
    const percent = (x) => 100 * Math.min(Math.max((x - data.first) / whole, 0), 1)
    this.bands.replaceChildren(
      ...data.bands.map(({ x0, x1, colour }) => {
        const band = document.createElement("i")
        Object.assign(band.style, {
          left: `${percent(x0)}%`,
          width: `${percent(x1) - percent(x0)}%`,
          background: colour,
        })
        return band
      }),
    )
  }
}
