#include "message/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void message_set_payload(struct message *m, const void *p, size_t n)
{
	char *copy = mem_dup(p, n); /* first: `p` may be a piece of the old payload */

	free(m->payload);
	m->payload = copy;
	m->payload_len = n;
}

void message_copy(struct message *to, const struct message *from)
{
	*to = *from;
	to->topic = mem_strdup(from->topic);
	to->payload = mem_dup(from->payload, from->payload_len);
	to->response_topic = mem_strdup(from->response_topic);
	to->correlation = mem_dup(from->correlation, from->correlation_len);
	vars_copy(&to->properties, &from->properties);
}

void message_fini(struct message *m)
{
	free(m->topic);
	free(m->payload);
	free(m->response_topic);
	free(m->correlation);
	vars_fini(&m->properties);
	*m = (struct message){ 0 };
}

size_t message_size(const struct message *m)
{
	size_t n = sizeof *m + strlen(m->topic) + m->payload_len + m->correlation_len;

	if (m->response_topic)
		n += strlen(m->response_topic);
	for (size_t i = 0; i < m->properties.n; i++)
		n += sizeof m->properties.items[i] + strlen(m->properties.items[i].name) +
		     strlen(m->properties.items[i].value);
	return n;
}

/* Each has a byte that says which it is; texts and data have two for their length. */
static size_t properties_bytes(const struct message *m)
{
	size_t n = m->expiry_s ? 5 : 0;

	if (m->response_topic)
		n += 3 + strlen(m->response_topic);
	if (m->correlation_len)
		n += 3 + m->correlation_len;
	for (size_t i = 0; i < m->properties.n; i++)
		n += 5 + strlen(m->properties.items[i].name) + strlen(m->properties.items[i].value);
	return n;
}

size_t message_packet_bytes(const struct message *m, int mqtt)
{
	size_t n = 2 + strlen(m->topic) + (m->qos > 0 ? 2 : 0) + m->payload_len;

	if (mqtt >= 5) {
		size_t properties = properties_bytes(m);

		n += 1 + properties; /* their length: seven bits a byte */
		for (; properties > 127; properties >>= 7)
			n++;
	}
	return n;
}
