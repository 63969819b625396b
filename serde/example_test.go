package serde_test

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/serde"
)

func ExampleJSON() {
	type Order struct {
		ID    string `json:"id"`
		Cents int64  `json:"cents"`
	}
	s := serde.JSON[Order]()

	b, err := s.Append(nil, Order{ID: "o-1", Cents: 1250})
	fmt.Println(string(b), err)

	order, err := s.Decode([]byte(`{"id":"o-2","cents":99,"note":"ignored"}`))
	fmt.Println(order, err)

	_, err = s.Decode([]byte(`null`))
	fmt.Println(err)
	// Output:
	// {"id":"o-1","cents":1250} <nil>
	// {o-2 99} <nil>
	// decode serde_test.Order from json: null is no value of serde_test.Order
}

func ExampleNullable() {
	s := serde.Nullable(serde.String())

	deleted, err := s.Decode(nil)
	fmt.Println(deleted == nil, s.IsNull(deleted), err)

	empty, err := s.Decode([]byte{})
	fmt.Printf("%q %v %v\n", *empty, s.IsNull(empty), err)
	// Output:
	// true true <nil>
	// "" false <nil>
}

func ExampleTimeWindowed() {
	s := serde.TimeWindowed(serde.String(), time.Hour)
	noon := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

	b, err := s.Append(nil, serde.Windowed[string]{Key: "ward-3", Start: noon, End: noon.Add(time.Hour)})
	fmt.Printf("%x %v\n", b, err)

	w, err := s.Decode(b)
	fmt.Println(w.Key, w.Start.Format(time.TimeOnly), w.End.Format(time.TimeOnly), err)
	fmt.Println(w)

	// Records of a windowed key go to the partition of the plain key.
	fmt.Printf("%s\n", s.(serde.Partitioned).PartitionKey(b))
	// Output:
	// 776172642d330000018df4bc5600 <nil>
	// ward-3 12:00:00 13:00:00 <nil>
	// [ward-3@1709208000000/1709211600000]
	// ward-3
}
