// Package browser walks through the pages as people do: in a real Chromium, with an authenticator that is not ours, on a
// phone and on a desk, in the light and in the dark, with the keyboard alone and without JavaScript.
//
// It promises that every page and dialog it comes by is inspected: axe finds nothing, the browser complains of nothing,
// nothing is asked of another origin, and nothing is wider than the window.
package browser
