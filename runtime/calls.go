package runtime

import (
	"fmt"
	"sync"
	"time"
)

// calls counts the goroutines on which asynchronous operators make their calls. They belong to no worker: a task that is rolled back or given away
// cancels its calls and goes on without them; only the end of the instance waits for them.
type calls struct {
	mu   sync.Mutex
	n    int
	none *sync.Cond
}

func newCalls() *calls {
	c := &calls{}
	c.none = sync.NewCond(&c.mu)
	return c
}

// start runs f on a goroutine.
func (c *calls) start(f func()) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	go func() {
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.n--; c.n == 0 {
				c.none.Broadcast()
			}
		}()
		f()
	}()
}

// wait returns when no call is on its way any more. Calls that do not heed their context are left behind after d.
func (c *calls) wait(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	over := false
	t := time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		over = true
		c.none.Broadcast()
	})
	defer t.Stop()
	for c.n > 0 && !over {
		c.none.Wait()
	}
	if c.n > 0 {
		return fmt.Errorf("%d calls of asynchronous operators do not end: their functions block and do not heed their contexts; they are left behind", c.n)
	}
	return nil
}
