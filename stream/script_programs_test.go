package stream_test

// scriptPrograms are the programs of the scripts, by name. Most read "in", some "left" and "right" or others too, and write "out".
var scriptPrograms = func() map[string]scriptProgram {
	all := map[string]scriptProgram{}
	for _, kind := range []map[string]scriptProgram{
		sourcePrograms, recordPrograms, topicPrograms, aggregationPrograms, windowPrograms, tablePrograms, tableJoinPrograms, streamJoinPrograms,
		lookupPrograms, holdingPrograms, processorPrograms, policyPrograms, tryPrograms,
	} {
		for name, program := range kind {
			if all[name] != nil {
				panic("two programs are called " + name)
			}
			all[name] = program
		}
	}
	return all
}()
