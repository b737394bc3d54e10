/* exit_status.h -- with which status calque ends, and with which a bridge says that a verb should. */
#ifndef BRIDGE_EXIT_STATUS_H
#define BRIDGE_EXIT_STATUS_H

enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,  /* what was asked for could not be done, or a check found mistakes */
	EXIT_MISUSED = 2, /* the command line or the configuration is wrong */
	EXIT_STORAGE = 3, /* the state or the disk failed */
};

#endif
