package onetime

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/notify"
)

var breakerOpen = prometheus.NewDesc("sallyport_codes_breaker_open",
	"1 while the hourly budget of a channel is used up, so that no code is sent by it; -1: the database cannot be asked.", []string{"channel"}, nil)

// Describe is prometheus.Collector.
func (c *Codes) Describe(to chan<- *prometheus.Desc) { to <- breakerOpen }

// Collect is prometheus.Collector.
func (c *Codes) Collect(to chan<- prometheus.Metric) {
	ctx, done := context.WithTimeout(context.Background(), time.Second)
	defer done()
	for _, f := range []*Factor{c.sms, c.email} {
		if !c.Outbox.Has(notify.Channel(f.kind)) {
			continue
		}
		open, err := c.Throttle.Empty(ctx, c.breaker(f.kind))
		value := 0.0
		switch {
		case err != nil:
			value = -1
		case open:
			value = 1
		}
		to <- prometheus.MustNewConstMetric(breakerOpen, prometheus.GaugeValue, value, string(f.kind))
	}
}
