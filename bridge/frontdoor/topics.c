#include "frontdoor/topics.h"

#include <string.h>

#include "base/buf.h"
#include "base/jtext.h"

bool topics_name_is_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > DOOR_MAX_NAME || name[0] == '@' || !jtext_is_utf8(name, n))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f || strchr("/+#", name[i]))
			return false;
	return true;
}

void topics_join(struct buf *out, const char *prefix, const char *device, const char *topic)
{
	buf_reset(out);
	buf_puts(out, prefix);
	buf_puts(out, device);
	buf_putc(out, '/');
	buf_puts(out, topic);
}

bool topics_split(const char *topic, const char *prefix, struct buf *device, const char **rest)
{
	size_t n = strlen(prefix), len;

	if (strncmp(topic, prefix, n) != 0)
		return false;
	len = strcspn(topic + n, "/");
	if (len == 0)
		return false;
	buf_reset(device);
	buf_append(device, topic + n, len);
	*rest = topic[n + len] ? topic + n + len + 1 : NULL;
	return true;
}

bool topics_match(const char *filter, const char *topic)
{
	if (topic[0] == '$' && (filter[0] == '+' || filter[0] == '#'))
		return false; /* MQTT 4.7.2 */
	for (;;) {
		size_t n = strcspn(filter, "/"), m = strcspn(topic, "/");

		if (n == 1 && filter[0] == '#')
			return true;
		if (!(n == 1 && filter[0] == '+') && (n != m || memcmp(filter, topic, n) != 0))
			return false;
		filter += n;
		topic += m;
		if (!*topic) /* MQTT 4.7.1.2: the parent too */
			return !*filter || strcmp(filter, "/#") == 0;
		if (!*filter)
			return false;
		filter++;
		topic++;
	}
}

bool topics_is_ours(const char *filter)
{
	if (strncmp(filter, "$share/", 7) == 0) {
		filter = strchr(filter + 7, '/');
		if (!filter)
			return false;
		filter++;
	}
	if (filter[0] != '$')
		return false;
	return strncmp(filter, "$frontdoor", 10) == 0 || strcmp(filter, DOOR_TAKEN) == 0 ||
	       strncmp(filter, "$/", 2) == 0 || strncmp(filter, DOOR_NOBODY, 2) == 0;
}
