package session

import (
	"context"
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/auth"
)

const (
	shards = 64
	// perShard bounds the memory: with 64 shards some 200,000 sessions. 100,000 in use were measured at 310 MB in all.
	perShard = 3200
	// reload is when even an undisturbed session is read again.
	reload = 10 * time.Minute
	// reading is how long the database may take to say what a session is.
	reading = 5 * time.Second
	// lag is how far the stored time of last use may be behind.
	lag = time.Minute
)

// An entry is a session as this node remembers it. Only its last use changes.
type entry struct {
	session auth.Session
	answer  []byte // of GET /session
	reload  time.Time
	seen    atomic.Int64 // last use, microseconds
	stored  atomic.Int64 // last use that the database knows of
}

// awake is true if it was used here recently enough. If not, another node may still have seen it: ask the database.
func (e *entry) awake(now time.Time, idle time.Duration) bool {
	return now.UnixMicro()-e.seen.Load() < idle.Microseconds()
}

// use notes the time, once a second and when it is due to be stored: cores that write to the same place wait for each other.
func (e *entry) use(now time.Time) {
	if at := now.UnixMicro(); at-e.seen.Load() >= time.Second.Microseconds() || at-e.stored.Load() >= lag.Microseconds() {
		e.seen.Store(at)
	}
}

// A cache is what a node remembers of sessions.
type cache struct {
	shards [shards]shard
	mu     sync.Mutex
	byUser map[auth.UserID][]digest // mostly one
	// forgets counts what was forgotten. What was read before the latest may be out of date.
	forgets atomic.Uint64
}

type shard struct {
	sync.RWMutex
	live map[digest]*entry
}

func newCache() *cache {
	c := &cache{byUser: map[auth.UserID][]digest{}}
	for i := range c.shards {
		c.shards[i].live = map[digest]*entry{}
	}
	return c
}

func (c *cache) shard(key digest) *shard { return &c.shards[key[0]%shards] }

func (c *cache) get(key digest) *entry {
	sh := c.shard(key)
	sh.RLock()
	defer sh.RUnlock()
	return sh.live[key]
}

// age is noted before the database is read, for put.
func (c *cache) age() uint64 { return c.forgets.Load() }

// put remembers what was read since the cache had that age, unless something was forgotten meanwhile: it could be
// just this.
func (c *cache) put(key digest, e *entry, before uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgets.Load() != before {
		return
	}
	sh := c.shard(key)
	sh.Lock()
	defer sh.Unlock()
	for k, old := range sh.live { // any will do: it is in the database
		if len(sh.live) < perShard {
			break
		}
		c.unlist(old.session.User.ID, k)
		delete(sh.live, k)
	}
	if sh.live[key] == nil {
		c.byUser[e.session.User.ID] = append(c.byUser[e.session.User.ID], key)
	}
	sh.live[key] = e
}

func (c *cache) forget(hash string) {
	b, err := hex.DecodeString(hash)
	if err != nil || len(b) != len(digest{}) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgets.Add(1)
	c.drop(digest(b))
}

func (c *cache) forgetUser(u auth.UserID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgets.Add(1)
	keys := c.byUser[u]
	delete(c.byUser, u)
	for _, key := range keys {
		sh := c.shard(key)
		sh.Lock()
		delete(sh.live, key)
		sh.Unlock()
	}
}

func (c *cache) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgets.Add(1)
	clear(c.byUser)
	for i := range c.shards {
		sh := &c.shards[i]
		sh.Lock()
		clear(sh.live)
		sh.Unlock()
	}
}

func (c *cache) drop(key digest) {
	sh := c.shard(key)
	sh.Lock()
	defer sh.Unlock()
	if e := sh.live[key]; e != nil {
		c.unlist(e.session.User.ID, key)
		delete(sh.live, key)
	}
}

func (c *cache) unlist(u auth.UserID, key digest) {
	left := slices.DeleteFunc(c.byUser[u], func(k digest) bool { return k == key })
	if len(left) == 0 {
		delete(c.byUser, u)
		return
	}
	c.byUser[u] = left
}

// used lists sessions whose last use the database is behind with.
func (c *cache) used(most int) map[digest]int64 {
	found := map[digest]int64{}
	for i := range c.shards {
		sh := &c.shards[i]
		sh.RLock()
		for key, e := range sh.live {
			if seen := e.seen.Load(); seen-e.stored.Load() >= lag.Microseconds() && len(found) < most {
				found[key] = seen
			}
		}
		sh.RUnlock()
	}
	return found
}

// Run writes down last uses until ctx ends, a few hundred at a time so that no sign-in waits long for the writer.
func (s *Store) Run(ctx context.Context) {
	for tick := time.NewTicker(5 * time.Second); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			s.flush(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			s.flush(ctx)
		}
	}
}

func (s *Store) flush(ctx context.Context) {
	for {
		used := s.cache.used(500)
		if len(used) == 0 || s.touch(ctx, used) != nil {
			return // what could not be written is tried again with the next tick
		}
		for key, at := range used {
			if e := s.cache.get(key); e != nil {
				e.stored.Store(at)
			}
		}
	}
}
