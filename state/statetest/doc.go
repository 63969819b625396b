// Package statetest tells whether an engine keeps the contract of [state.Engine].
package statetest
