// Pictures from the clipboard (predict_paste.py). One listener a page; it goes with its component.

const listeners = new WeakMap() // parentElement -> its listener

export default function ({ data, parentElement, setTriggerValue }) {
  let box = parentElement.querySelector(".paste")
  if (!box) {
    box = parentElement.appendChild(document.createElement("div"))
    box.className = "paste"
    box.tabIndex = 0
    const key = navigator.platform.startsWith("Mac") ? "⌘V" : "Ctrl+V"
    const kbd = document.createElement("kbd")
    kbd.textContent = key
    const words = document.createElement("span")
    words.setAttribute("aria-live", "polite")
    words.className = "words"
    box.append("Or paste a copied picture: ", kbd, " ", words)
  }
  const words = box.querySelector(".words")
  const taken = (event) => take(event, data.most, words, setTriggerValue)
  document.removeEventListener("paste", listeners.get(parentElement))
  document.addEventListener("paste", taken)
  listeners.set(parentElement, taken)
  return () => document.removeEventListener("paste", listeners.get(parentElement))
}

async function take(event, most, words, send) {
  if (event.composedPath()[0].closest?.("input, textarea, [contenteditable]")) return
  const files = [...(event.clipboardData?.files ?? [])]
  if (!files.length) {
    words.textContent = "There is no picture in the clipboard."
    return
  }
  event.preventDefault()
  if (files.reduce((sum, file) => sum + file.size, 0) > most) {
    words.textContent = `More than ${most / 1e6} MB: save it and drop the file above.`
    return
  }
  words.textContent = ""
  const found = []
  for (const file of files) found.push({ name: named(file), data: await base64(file) })
  send("pasted", found)
}

// Every pasted screenshot is called image.png: a time tells them apart.
function named(file) {
  if (file.name && file.name !== "image.png") return file.name
  const [time] = new Date().toTimeString().split(" ")
  return `pasted ${time.replaceAll(":", "-")}.${file.type.split("/")[1] ?? "png"}`
}

function base64(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader()
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1))
    reader.onerror = () => failed(reader.error)
    reader.readAsDataURL(file)
  })
}
