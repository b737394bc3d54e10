/* bench_case.h -- what `calque bench` measures: messages of some kind, through some program. */
#ifndef BRIDGE_BENCH_CASE_H
#define BRIDGE_BENCH_CASE_H

#include <stdbool.h>
#include <stddef.h>

struct err;

/* Messages, and what is to become of them. */
struct bench_load {
	const char *name; /* tests/bench/README.md says what each is */
	const char *
		topic; /* to publish on; "{n}" in it and in what the sides say: the link's number */
	const char *body; /* as in traffic_conf */
	size_t size;
	const char *south, *north; /* what calque's two sides say of dialect and vars */
	const char *write;	   /* jq: what the payload becomes; NULL: stays as it is */
	bool is_shipped;	   /* the dialects are calque's own, and QoS 1 only */
};

#define BENCH_MAX_ARGS 8

/* Where a program is to run and connect. */
struct bench_place {
	const char *dir;    /* its own, empty */
	const char *calque; /* the program to measure: its path */
	const char *topic;  /* the first of those that are published on */
	int in_port, out_port;
	const char *ca; /* a file: who signed the certificate of the latter, if it speaks TLS */
	const char *argv[BENCH_MAX_ARGS + 1]; /* filled in by prepare */
	char *texts[BENCH_MAX_ARGS];	      /* those of argv that are to be freed */
};

struct bench_case {
	char name[40];
	const struct bench_load *load;
	size_t links, busy; /* how many there are, and how many of them have something to do */
	size_t devices;	    /* each with a session in the north; 0: none, but links as such */
	bool is_tls;	    /* there */
	long window;	    /* 0: the one that was asked for */
	int qos;
	bool is_sync; /* calque's journal.sync */
	/* Write the files that it needs.  False sets *e. */
	bool (*prepare)(const struct bench_case *c, struct bench_place *place, struct err *e);
	bool is_long;	      /* only if it is named */
	const char *needs[3]; /* programs; NULL: no more */
};

#define BENCH_MAX_CASES 64

/* All of calque's own; the number of them. */
size_t bench_cases(struct bench_case *out);
/* Those of devices that have a session each. */
size_t bench_cases_fleet(struct bench_case *out);
/* Those of other programs. */
size_t bench_cases_beside(struct bench_case *out);
const struct bench_load *bench_load(const char *name);

/* The text with NUMBER in the place of each "{n}"; the caller's. */
char *bench_numbered(const char *text, size_t number);

/* Have PATH end in where daemons are. */
void bench_look_for_daemons(void);
/* Is it in PATH? */
bool bench_has_program(const char *name);

/* Create DIR/NAME with this text.  False sets *e. */
bool bench_write_file(const char *dir, const char *name, const char *text, struct err *e);

#endif
