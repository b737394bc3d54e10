/* compiler_child.h -- the compiler's own side, see compiler.h. */
#ifndef BRIDGE_COMPILER_CHILD_H
#define BRIDGE_COMPILER_CHILD_H

#include <sys/types.h>

/* What it is asked: a type, and what follows it.
 *	LOAD	directories, a name, are hints wanted?	-> lines of a report, is there one?  its number, and it
 *	PLAN	a spec of such numbers			-> is there one?  its address there
 *	TELL	an address of a plan, a row		-> (nothing)
 *	FORK	with two descriptors			-> the process, 0: none
 *	OWN	a number of a mapping, one of a function	-> has it a program of its own now? */
enum compiler_request { COMPILER_LOAD, COMPILER_PLAN, COMPILER_TELL, COMPILER_FORK, COMPILER_OWN };

/* The life of the process: its end of the channel is `fd`. */
_Noreturn void compiler_child(int fd, pid_t bridge);

#endif
