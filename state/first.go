package state

// first returns a copy of the smallest key from lo on, and ok false if there is none. What it costs does not depend on how many rows follow.
func (o *overlay[V]) first(lo []byte) (key []byte, ok bool, err error) {
	o.sort()
	o.order.ascend(string(lo), "", false, func(k string, r *row[V]) bool {
		ok = r.dirty && r.state == present
		if ok {
			key = []byte(k)
		}
		return !ok
	})
	it, err := o.table.engine.Iterate(o.table.key(nil, lo), successor(o.table.prefix), false)
	if err != nil {
		return nil, false, o.broken("scan", err)
	}
	for it.Next() {
		k := it.Key()[len(o.table.prefix):]
		if ok && string(k) >= string(key) {
			break
		}
		// What the overlay holds of a key in the engine is newer.
		if r, known := o.order.get(string(k)); !known || !r.dirty {
			key, ok = append(key[:0], k...), true
			break
		}
	}
	if err = it.Err(); err != nil {
		_ = it.Close()
		return nil, false, o.broken("scan", err)
	}
	if err = it.Close(); err != nil {
		return nil, false, o.broken("scan", err)
	}
	return key, ok, nil
}
