#include "frontdoor/client_id.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stddef.h>

#include <mosquitto_broker.h>

typedef int set_client_id(struct mosquitto *client, const char *id);

static char **find_word(struct mosquitto *client, const char *id)
{
	char **words = (char **)client, **found = NULL;
	size_t n = malloc_usable_size(client) / sizeof *words;

	for (size_t i = 0; i < n; i++)
		if (words[i] == id) {
			if (found)
				return NULL;
			found = &words[i];
		}
	return found;
}

bool client_id_set(struct mosquitto *client, const char *id)
{
	set_client_id *set;
	const char *old = mosquitto_client_id(client);
	char **word, *copy;

	*(void **)&set = dlsym(RTLD_DEFAULT, "mosquitto_set_clientid");
	if (set)
		return set(client, id) == 0;
	if (!old || !(word = find_word(client, old)) || !(copy = mosquitto_strdup(id)))
		return false;
	*word = copy;
	if (mosquitto_client_id(client) != copy) {
		*word = (char *)old;
		mosquitto_free(copy);
		return false;
	}
	mosquitto_free((char *)old);
	return true;
}
