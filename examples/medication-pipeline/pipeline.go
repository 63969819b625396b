package main

import (
	"context"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// The topics that the pipeline reads and writes.
var (
	// Orders are the events of the Event Broker, by orderKey. Null is a value here, so that validate gets to see it.
	Orders = stream.NewTopic("medication-orders", serde.String(), serde.Nullable(serde.JSON[Order]()))
	// Pharmacies is a table by pharmacy id.
	Pharmacies = stream.NewTopic("pharmacies", serde.String(), serde.JSON[Pharmacy]())

	// PharmacyOrders are the events of routed orders, by pharmacy id.
	PharmacyOrders = stream.NewTopic("pharmacy-orders", serde.String(), serde.JSON[PharmacyOrder]())
	// OrderStatus is a table of the orders as they stand, by orderKey.
	OrderStatus = stream.NewTopic("order-status", serde.String(), serde.JSON[Order]())
	// Volumes is a table of the number of new orders by medication and hour.
	Volumes = stream.NewTopic("medication-volumes", serde.TimeWindowed(serde.String(), volumeWindow), serde.Int64())
	// Alerts are raised by therapy.
	Alerts = stream.NewTopic("duplicate-therapy-alerts", serde.JSON[Therapy](), serde.JSON[Alert]())
)

// The topics of the application's own, between what is keyed by order and what is keyed otherwise.
var (
	ByPharmacy   = stream.NewRepartition("orders-by-pharmacy", serde.String(), serde.JSON[Order]())
	ByMedication = stream.NewRepartition("orders-by-medication", serde.String(), serde.JSON[Order]())
	ByTherapy    = stream.NewRepartition("orders-by-therapy", serde.JSON[Therapy](), serde.JSON[Order]())
)

// The stores. TherapyHistory is in alerts.go.
var (
	PharmacyTable = state.KeyValue("pharmacies", serde.String(), serde.JSON[Pharmacy]())
	StatusTable   = state.KeyValue("order-status", serde.String(), serde.JSON[Order]())
	CreatedOrders = state.KeyValue("created-orders", serde.String(), serde.Int64())
	VolumeTable   = state.Window("medication-volumes", serde.String(), serde.Int64())
)

const (
	volumeWindow = time.Hour
	volumeGrace  = 5 * time.Minute
)

// pipeline declares the program. The names of the cluster's topics begin with prefix; those of stores and
// repartition topics with the application's id.
func pipeline(prefix string) (*topology.Topology, error) {
	b := stream.NewBuilder().OnError(dlq.Send())

	// 1. Events that are no whole orders go to medication-orders.dlq, as they are and with the reason.
	orders := b.Stream(under(prefix, Orders), stream.TimestampFrom(eventTime)).
		TryMapValues(validate, stream.Named("validate"))

	// 2. Pharmacies get the events of orders that are routed to them, with their own name in it if it is known by
	// then.
	pharmacies := b.Table(under(prefix, Pharmacies), PharmacyTable)
	orders.Filter(routed, stream.Named("routed")).
		SelectKey(pharmacyOf, stream.Named("pharmacy-of")).
		Repartition(ByPharmacy).
		LeftJoinTable(pharmacies, addPharmacy, stream.Named("add-pharmacy")).
		To(under(prefix, PharmacyOrders))

	// 3. The status of an order is that of its latest event, by event time: an event that comes late does not turn
	// it back.
	orders.GroupByKey().
		Reduce(later, StatusTable).
		ToStream().
		To(under(prefix, OrderStatus))

	// 4. Volumes count each new order once, in the hour of its creation.
	created := orders.TryFilter(isCreation, stream.Named("creations")).
		ProcessValues(firstTime, stream.Stores(CreatedOrders), stream.Named("first-time"))
	created.GroupBy(medicationOf, ByMedication, stream.Named("medication-of")).
		Window(stream.Tumbling{Size: volumeWindow, Grace: volumeGrace}).
		Count(VolumeTable).
		To(under(prefix, Volumes))

	// 5. The fourth order of a therapy within 24 hours raises an alert.
	created.SelectKey(therapyOf, stream.Named("therapy-of")).
		Repartition(ByTherapy).
		ProcessValues(duplicateTherapy, stream.Stores(TherapyHistory), stream.Named("duplicate-therapy")).
		To(under(prefix, Alerts))

	return b.Build()
}

// under is the topic with a prefix to its name, so that several pipelines can share a cluster.
func under[K, V any](prefix string, t stream.Topic[K, V]) stream.Topic[K, V] {
	return stream.NewTopic(prefix+t.Name(), t.Key(), t.Value())
}

func routed(_ string, o Order) bool { return o.PharmacyID != "" }

func pharmacyOf(_ string, o Order) string { return string(o.PharmacyID) }

func medicationOf(_ string, o Order) string { return o.Medication }

func therapyOf(_ string, o Order) Therapy { return Therapy{o.PatientID, o.Medication} }

// addPharmacy joins an order with its pharmacy. One that is not known, or not yet, must not cost the pharmacy its
// order.
func addPharmacy(o Order, p stream.Opt[Pharmacy]) PharmacyOrder {
	return PharmacyOrder{Order: o, PharmacyName: p.Value.Name, PharmacyCity: p.Value.City}
}

// later returns the order as of its later update; of two at the same time, as it arrived last.
func later(current, o Order) Order {
	if o.UpdatedAt < current.UpdatedAt {
		return current
	}
	return o
}

// isCreation tells creations from updates.
func isCreation(ctx context.Context, _ string, _ Order) (bool, error) {
	return header(stream.Metadata(ctx).Headers, headerEventType) == eventCreated, nil
}

// firstTime drops, counted as skipped, creations that came before: the Event Broker delivers an event again when it
// is not sure that it was taken.
func firstTime(n *stream.ValueNode[string, Order]) (func(context.Context, stream.Record[string, Order]) error, error) {
	seen := CreatedOrders.Open(n)
	return func(_ context.Context, r stream.Record[string, Order]) error {
		_, again, err := seen.Get(r.Key)
		switch {
		case err != nil:
			return err
		case again:
			return stream.ErrSkip
		}
		if err := seen.Put(r.Key, int64(r.Value.CreatedAt)); err != nil {
			return err
		}
		return n.Forward(r.Value)
	}, nil
}
