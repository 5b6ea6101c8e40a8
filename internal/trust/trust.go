// Package trust is the browsers on which somebody is not asked for a second step.
package trust
