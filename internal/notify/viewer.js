// The list brings itself up to date every other second, and leaves scroll and focus where they are.
const main = document.querySelector('main')
setInterval(async () => {
  if (document.hidden || getSelection().type === 'Range') return
  const answer = await fetch(location.pathname).catch(() => null)
  if (!answer?.ok) return
  const next = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main')
  if (next.innerHTML === main.innerHTML) return
  const top = id => document.getElementById(id)?.getBoundingClientRect().top
  const shown = [...main.querySelectorAll('li')].find(row => row.getBoundingClientRect().bottom > 0)?.id
  const before = top(shown), focus = document.activeElement.id
  main.replaceChildren(...next.childNodes)
  if (scrollY > 0) scrollBy(0, (top(shown) ?? before) - before || 0)
  document.getElementById(focus)?.focus({preventScroll: true})
}, 2000)
