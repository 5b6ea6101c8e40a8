package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/secret"
)

// listening are the flags of dev and serve.
type listening struct {
	place
	Listen string `help:"Address to listen on." placeholder:"HOST:PORT"`
	URL    string `help:"Where people reach it." placeholder:"URL"`
}

func (l listening) load() (config.Config, error) {
	c, err := l.place.load()
	if l.Listen != "" {
		c.Listen = l.Listen
	}
	if l.URL != "" {
		c.URL = l.URL
	}
	return c, err
}

type devCommand struct{ listening }

func (d devCommand) Run(e *env) error {
	c, err := d.load()
	if err != nil {
		return err
	}
	if d.URL == "" && d.Listen != "" { // one origin, whatever the port
		_, port, err := net.SplitHostPort(c.Listen)
		if err != nil {
			return fmt.Errorf("--listen: %w", err)
		}
		c.URL = "http://localhost:" + port
	}
	keepMessages(&c)
	if !config.IsLoopback(c.Listen) {
		return fmt.Errorf("dev listens on this machine only, not on %s: use serve", c.Listen)
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	if err := secret.CreateRing(c.KeysPath(), time.Now()); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	// People read this one; requests that went well are no news.
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return run(e, c, log, withOutbox, func(a *app.App) error {
		fmt.Fprintf(e.stdout, "Sallyport runs on this machine, with its data in %s.\n\n  Sign in      %s\n", c.Data, c.URL)
		link, err := a.Setup.Link(e.ctx)
		if err != nil {
			return err
		}
		if link != "" {
			fmt.Fprintf(e.stdout, "  First owner  %s%s\n               (works once, for 30 minutes)\n", c.URL, link)
		}
		if a.Outbox.Keep {
			fmt.Fprintf(e.stdout, "  Outbox       %s%s\n", here(c), outboxPath)
		}
		fmt.Fprintln(e.stdout, "\nStop it with Ctrl-C.")
		return nil
	})
}

// keepMessages lets every channel be tried without a server or a provider: what is sent is kept and shown.
func keepMessages(c *config.Config) {
	if c.Mail.Host == "" && c.SMS.Provider == "" && slices.Equal(c.Policy.Factors, config.Default().Policy.Factors) {
		c.Policy.Factors = append(c.Policy.Factors, "sms", "email")
	}
	if c.Mail.Host == "" {
		c.Mail.Host = config.Outbox
	}
	if c.SMS.Provider == "" {
		c.SMS.Provider, c.SMS.Countries = config.Outbox, []string{"DE", "ES", "FI", "FR", "GB", "SE", "US"}
	}
}

const outboxPath = "/dev/outbox"

// withOutbox is the site with the viewer of the outbox in front, if one is kept.
func withOutbox(a *app.App) http.Handler {
	if !a.Outbox.Keep {
		return a.Site
	}
	viewer := a.Outbox.Viewer()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, outboxPath) {
			viewer.ServeHTTP(w, r)
		} else {
			a.Site.ServeHTTP(w, r)
		}
	})
}

// here is where this machine alone reaches the site: behind a tunnel that is not its url.
func here(c config.Config) string {
	if u, err := url.Parse(c.URL); err == nil && config.IsLoopback(u.Host) {
		return c.URL
	}
	if c.TLSCert != "" {
		return "https://" + c.Listen
	}
	return "http://" + c.Listen
}

type serveCommand struct{ listening }

func (s serveCommand) Run(e *env) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	if err := refuseUnsafe(e, c); err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(e.stderr, &slog.HandlerOptions{Level: level}))
	return run(e, c, log, func(a *app.App) http.Handler { return a.Site }, func(a *app.App) error {
		log.Info("listening", "url", c.URL, "listen", c.Listen)
		if empty, err := a.Users.Empty(e.ctx); err != nil || !empty {
			return err
		}
		log.Warn("nobody can sign in yet: add somebody with `sallyport user add --role owner`")
		return nil
	})
}

func refuseUnsafe(e *env, c config.Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	reasons := c.Unsafe()
	for _, r := range reasons {
		fmt.Fprintln(e.stderr, "sallyport:", r)
	}
	if len(reasons) > 0 {
		return errUnsafe
	}
	return nil
}

// run serves what front makes of the parts until the context ends. Started is called once requests are answered.
func run(e *env, c config.Config, log *slog.Logger, front func(*app.App) http.Handler, started func(*app.App) error) error {
	shareCores()
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a, err := app.New(e.ctx, c, time.Now, log, metrics)
	if err != nil {
		return err
	}
	defer a.Close()
	failed := make(chan error, 2)
	site, err := listen(c, c.Listen, front(a), failed, log)
	if err != nil {
		return fmt.Errorf("%w: choose another address with --listen HOST:PORT or the setting listen", err)
	}
	servers := []*http.Server{site}
	if c.MetricsListen != "off" {
		c.TLSCert = "" // inner network
		inner, err := listen(c, c.MetricsListen, metricsMux(metrics), failed, log)
		switch {
		case err == nil:
			servers = append(servers, inner)
		case isDefault(c): // several on one machine while developing
			log.Warn("no metrics: their address is taken", "metrics_listen", c.MetricsListen)
		default:
			return fmt.Errorf("%w: choose another address with the setting metrics_listen, or \"off\"", err)
		}
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(e.ctx))
	defer stop()
	background := make(chan struct{})
	go func() { a.Run(ctx); close(background) }()
	if err := started(a); err != nil {
		return err
	}
	select {
	case err = <-failed:
	case <-e.ctx.Done():
	}
	// What is under way may finish; then what is remembered is written down.
	last, done := context.WithTimeout(context.Background(), 10*time.Second)
	defer done()
	for _, s := range servers {
		err = errors.Join(err, s.Shutdown(last))
	}
	stop()
	<-background
	return err
}

func listen(c config.Config, address string, h http.Handler, failed chan<- error, log *slog.Logger) (*http.Server, error) {
	s := &http.Server{
		Handler: h, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), MaxHeaderBytes: 32 << 10,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, // the site sets the others
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("tls_cert: %w", err)
		}
		s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	}
	go func() {
		err := error(nil)
		if s.TLSConfig != nil {
			err = s.ServeTLS(l, "", "")
		} else {
			err = s.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	return s, nil
}

func metricsMux(r *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	return mux
}

// isDefault is true where nobody chose the address of the metrics and the site is for this machine alone.
func isDefault(c config.Config) bool {
	u, err := url.Parse(c.URL)
	return err == nil && config.IsLoopback(u.Host) && c.MetricsListen == config.Default().MetricsListen
}
