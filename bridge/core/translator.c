#include "core/translator.h"

#include <stdlib.h>

#include "base/mem.h"

struct node {
	struct node *next;
	struct job *job;
};

struct translator {
	struct node *first;
	struct node **insert; /* where the next submitted job goes; NULL: at the end */
	struct node **end;
};

struct translator *translator_new(void)
{
	struct translator *t = mem_zalloc(sizeof *t);

	t->end = &t->first;
	return t;
}

void translator_submit(struct translator *t, struct job *job)
{
	struct node *n = mem_alloc(sizeof *n);
	struct node **at = t->insert ? t->insert : t->end;

	n->job = job;
	n->next = *at;
	*at = n;
	if (!n->next)
		t->end = &n->next;
	if (t->insert)
		t->insert = &n->next;
}

static struct job *take_first(struct translator *t)
{
	struct node *n = t->first;
	struct job *job = n->job;

	t->first = n->next;
	if (!t->first)
		t->end = &t->first;
	free(n);
	return job;
}

void translator_free(struct translator *t)
{
	while (t && t->first) {
		struct job *job = take_first(t);

		if (job->drop)
			job->drop(job);
	}
	free(t);
}

bool translator_run(struct translator *t)
{
	bool worked = false;

	while (t->first) {
		struct job *job = take_first(t);
		struct results results = { 0 };

		if (job->start)
			job->start(job);
		translate(job, &results);
		t->insert = &t->first;
		job->done(job, &results);
		t->insert = NULL;
		results_fini(&results);
		worked = true;
	}
	return worked;
}
