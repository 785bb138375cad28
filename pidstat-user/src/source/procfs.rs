//! Everything that is read from files below a procfs root: the fallback source and the playback of recorded instants.
