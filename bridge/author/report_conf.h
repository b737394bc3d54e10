/* report_conf.h -- a configuration that may be shown to others: its text without what is, or may be, a secret in it.
 *
 * Comments may say anything, and are left out.  "***" stands for the value of a setting that sounds like a secret, for
 * each value in `vars` (which of them are credentials only the dialect knows), and in URLs for what is before an @ or
 * behind a ?.  What only says where a value is to be found (file:, env:, cred:) stays. */
#ifndef BRIDGE_REPORT_CONF_H
#define BRIDGE_REPORT_CONF_H

struct buf;

/* Append a file's text. */
void report_conf_put_text(struct buf *out, const char *text);
/* Append the variables of the environment that are ours, one a line. */
void report_conf_put_environment(struct buf *out);

#endif
