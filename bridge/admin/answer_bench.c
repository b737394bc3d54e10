#include "admin/answer_bench.h"

#include <stdlib.h>

#include "admin/answer.h"
#include "base/mem.h"
#include "play/play.h"

struct bench_answer {
	struct answer answer;
	struct play_request *request;
};

static bool more(struct answer *a, struct buf *out)
{
	return play_request_more(((struct bench_answer *)a)->request, out);
}

static void end(struct answer *a)
{
	play_request_free(((struct bench_answer *)a)->request);
	free(a);
}

struct answer *answer_bench(struct play *play, const struct mapping_path *path, const char *body,
			    size_t n)
{
	struct bench_answer *b = mem_zalloc(sizeof *b);

	b->answer = (struct answer){ more, end };
	b->request = play_request_new(play, path, body ? body : "", n);
	return &b->answer;
}
