package main

import (
	"fmt"
	"time"
)

// settle is how long a server may do nothing before its memory is called idle.
const settle = 5 * time.Second

// starts measures from the start of the process to the first 200 of /readyz.
func starts(b *bench) error {
	w, err := b.world("many", b.many())
	if err != nil {
		return err
	}
	var took []float64
	for i := range b.size.starts {
		n, err := b.start(w)
		if err != nil {
			return err
		}
		took = append(took, n.ready.Seconds()*1000)
		if i < b.size.starts-1 {
			n.stop()
			continue
		}
		defer n.stop()
		time.Sleep(settle)
		idle, err := n.memory("VmRSS")
		if err != nil {
			return err
		}
		b.table.add(fmt.Sprintf("start to /readyz, %d users", w.users), median(took), "ms", below(80))
		b.table.add("memory when idle", idle, "MB", below(40))
	}
	return nil
}
