package stream_test

import (
	"fmt"
	"strings"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// The examples of joins by foreign key have orders like "ada:tea", which name a customer, and customers with their towns.
var (
	orders    = stream.NewTopic("orders", serde.String(), serde.String())
	customers = stream.NewTopic("customers", serde.String(), serde.String())

	orderOf    = state.KeyValue("order-of", serde.String(), serde.String())
	customerOf = state.KeyValue("customer-of", serde.String(), serde.String())
	placed     = state.KeyValue("placed", serde.String(), serde.String())

	orderCustomer = stream.NewForeignJoin("order-customer", serde.String(), serde.String(), serde.String(), serde.String())
)

func customerOfOrder(order string) (string, bool) {
	customer, _, ok := strings.Cut(order, ":")
	return customer, ok
}

func ExampleTable_JoinForeign() {
	b := stream.NewBuilder()
	town := func(order, town string) string { return order + " to " + town }
	b.Table(orders, orderOf).
		JoinForeign(b.Table(customers, customerOf), customerOfOrder, town, orderCustomer).
		Materialize(placed).
		ToStream().
		To(out)
	run(b, "customers ada=Bath@1", "orders 1=ada:tea@2", "orders 2=bob:jam@3", "customers ada=Cork@4", "customers bob=Deal@5", "orders 1=null@6")
	// Output:
	// out 1=ada:tea to Bath@2
	// out 1=ada:tea to Cork@4
	// out 2=bob:jam to Deal@5
	// out 1=null@6
}

func ExampleTable_LeftJoinForeign() {
	b := stream.NewBuilder()
	town := func(order string, town stream.Opt[string]) string {
		if !town.OK {
			return order + " to be collected"
		}
		return order + " to " + town.Value
	}
	b.Table(orders, orderOf).
		LeftJoinForeign(b.Table(customers, customerOf), customerOfOrder, town, orderCustomer).
		ToStream().
		To(out)
	run(b, "orders 1=ada:tea@1", "customers ada=Bath@2", "orders 2=milk@3")
	// Output:
	// out 1=ada:tea to be collected@1
	// out 1=ada:tea to Bath@2
	// out 2=milk to be collected@3
}

func ExampleTable_JoinForeignWithKey() {
	b := stream.NewBuilder()
	first := func(id, _ string) (string, bool) { return id[:min(1, len(id))], id != "" } // the orders a1, a2, ... are those of customer a
	b.Table(orders, orderOf).
		JoinForeignWithKey(b.Table(customers, customerOf), first, func(order, town string) string { return order + " to " + town }, orderCustomer).
		ToStream().
		To(out)
	run(b, "customers a=Bath@1", "orders a1=tea@2")
	// Output:
	// out a1=tea to Bath@2
}

func ExampleTable_LeftJoinForeignWithKey() {
	b := stream.NewBuilder()
	first := func(id, _ string) (string, bool) { return id[:min(1, len(id))], id != "" }
	town := func(order string, town stream.Opt[string]) string { return fmt.Sprint(order, " ", town.OK) }
	b.Table(orders, orderOf).
		LeftJoinForeignWithKey(b.Table(customers, customerOf), first, town, orderCustomer).
		ToStream().
		To(out)
	run(b, "customers a=Bath@1", "orders a1=tea@2", "orders b1=jam@3")
	// Output:
	// out a1=tea true@2
	// out b1=jam false@3
}

func ExampleNewForeignJoin() {
	b := stream.NewBuilder()
	// The committed subscriptions lie on the heap; the customers' topic is partitioned by the length of the name.
	via := orderCustomer.InMemory().PartitionBy(func(customer string, n int32) int32 { return int32(len(customer)) % n })
	b.Table(orders, orderOf).
		JoinForeign(b.Table(customers, customerOf), customerOfOrder, func(order, town string) string { return order + " to " + town }, via).
		ToStream().
		To(out)
	run(b, "customers ada=Bath@1", "orders 1=ada:tea@2")
	// Output:
	// out 1=ada:tea to Bath@2
}
