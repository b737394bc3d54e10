#include "bench/bench_report.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/jtext.h"
#include "base/mem.h"

/* ---- the conditions ---- */

static void put_cpu(struct buf *out)
{
	char line[512];
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && fgets(line, sizeof line, f)) {
		char *at = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || !at)
			continue;
		buf_append(out, at + 2, strcspn(at + 2, "\n"));
		break;
	}
	if (f)
		fclose(f);
	if (out->len == 0)
		buf_puts(out, "unknown");
}

static void put_kernel(struct buf *out)
{
	struct utsname u;

	if (uname(&u) == 0)
		buf_printf(out, "%s %s %s", u.sysname, u.release, u.machine);
}

/* The libraries that decide, as the files that are loaded: their names end in the version. */
static void put_libraries(struct buf *out)
{
	static const char *const names[] = { "libmosquitto.so", "libjq.so", "libsqlite3.so",
					     "libuv.so", "libssl.so" };
	char line[1024];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof line, f)) {
		const char *file = strrchr(line, '/');

		for (size_t i = 0; file && i < sizeof names / sizeof names[0]; i++) {
			if (strncmp(file + 1, names[i], strlen(names[i])) != 0)
				continue;
			line[strcspn(line, "\n")] = '\0';
			if (!strstr(buf_str(out), file + 1))
				buf_printf(out, "%s%s", out->len ? ", " : "", file + 1);
		}
	}
	if (f)
		fclose(f);
}

static void put_file_system(const char *dir, struct buf *out)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = { /* statfs(2) */
		      { 0xef53, "ext4" },	   { 0x58465342, "xfs" },
		      { 0x9123683e, "btrfs" },	   { 0x01021994, "tmpfs" },
		      { 0x794c7630, "overlayfs" }, { 0x2fc12fc1, "zfs" },
		      { 0xf2f52010, "f2fs" },	   { 0x6969, "nfs" }
	};
	struct statfs s;

	if (statfs(dir, &s) != 0)
		return;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if ((unsigned long)s.f_type == known[i].magic)
			buf_puts(out, known[i].name);
	if (out->len == 0)
		buf_printf(out, "type 0x%lx", (unsigned long)s.f_type);
}

#define FLUSHES 50

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The median time of "append 4 KiB, fdatasync"; -1: it cannot be done. */
static double flush_ms(const char *dir)
{
	static const char block[4096];
	char *path = mem_printf("%s/flush", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int64_t us[FLUSHES] = { 0 }, *median = &us[FLUSHES / 2];
	bool ok = fd >= 0;

	for (size_t i = 0; ok && i < FLUSHES; i++) {
		int64_t start = clock_mono_us();

		ok = write(fd, block, sizeof block) == sizeof block && fdatasync(fd) == 0;
		us[i] = clock_mono_us() - start;
	}
	if (fd >= 0)
		close(fd);
	unlink(path);
	free(path);
	qsort(us, FLUSHES, sizeof us[0], by_value);
	return ok ? (double)*median / 1000 : -1;
}

static void print_json_text(const char *key, struct buf *text)
{
	struct buf out = { 0 };

	jtext_put_string(&out, buf_str(text), text->len);
	printf("\"%s\":%s,", key, buf_str(&out));
	buf_fini(&out);
}

static void print_conditions(const struct bench_report *r, const struct bench_setting *s)
{
	struct buf cpu = { 0 }, kernel = { 0 }, libraries = { 0 }, fs = { 0 };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	double flush = flush_ms(s->dir);

	put_cpu(&cpu);
	put_kernel(&kernel);
	put_libraries(&libraries);
	put_file_system(s->dir, &fs);
	if (r->is_json) {
		printf("{\"conditions\":{\"version\":\"%s\",\"cores\":%ld,", CALQUE_VERSION, cores);
		print_json_text("cpu", &cpu);
		print_json_text("kernel", &kernel);
		print_json_text("libraries", &libraries);
		print_json_text("file_system", &fs);
		printf("\"fdatasync_ms\":%.3f,\"seconds\":%g,\"window\":%ld},\n\"scenarios\":[",
		       flush, s->seconds, s->window);
	} else {
		printf("calque      " CALQUE_VERSION "\n"
		       "cpu         %ld x %s\n"
		       "kernel      %s\n"
		       "libraries   %s\n"
		       "state       %s, fdatasync of 4 KiB %.2f ms\n"
		       "scenario    %g s, window %ld\n\n",
		       cores, buf_str(&cpu), buf_str(&kernel), buf_str(&libraries), buf_str(&fs),
		       flush, s->seconds, s->window);
	}
	buf_fini(&cpu);
	buf_fini(&kernel);
	buf_fini(&libraries);
	buf_fini(&fs);
}

/* ---- the rows ---- */

long bench_window(const struct bench_case *c, const struct bench_setting *s)
{
	return c->window ? c->window : s->window;
}

static double ms(int64_t us)
{
	return (double)us / 1000;
}

static double mib(int64_t kib)
{
	return (double)kib / 1024;
}

static void print_heads(void)
{
	puts("                                      us CPU  ms at 1/10 rate   ms at full rate  "
	     "MiB idle MiB loaded  % of a core");
	puts("scenario            bytes    msg/s   per msg     p50     p99     p50     p99   "
	     "RSS  PSS   RSS  PSS driver others");
}

static void print_fleet(const struct bench_figures *f)
{
	const struct bench_fleet_figures *fleet = &f->fleet;

	printf("  %zu sessions: up in %.1f s (CPU %.2f s), back in %.1f s (CPU %.2f s, at most %zu "
	       "in a second), at 1000 msg/s %.1f us CPU per msg, "
	       "resting %.2f%% of a core, %zu descriptors, RSS %.1f MiB of the "
	       "process with the sessions\n",
	       f->of->devices, fleet->up_s, (double)fleet->up_cpu_us / 1e6, fleet->back_s,
	       (double)fleet->back_cpu_us / 1e6, fleet->most_in_second, fleet->steady_cpu_us,
	       fleet->resting * 100, fleet->descriptors, mib(fleet->own.rss_kib));
}

static void print_row(const struct bench_figures *f)
{
	printf("%-18s %6zu %8.0f %9.1f %7.2f %7.2f %7.2f %7.2f %5.0f %4.0f %5.0f %4.0f %5.0f%% "
	       "%5.0f%%\n",
	       f->of->name, f->counts.bytes, f->full.per_second, f->cpu_us, ms(f->paced.p50_us),
	       ms(f->paced.p99_us), ms(f->full.p50_us), ms(f->full.p99_us), mib(f->idle.rss_kib),
	       mib(f->idle.pss_kib), mib(f->loaded.rss_kib), mib(f->loaded.pss_kib),
	       f->driver * 100, f->others * 100);
	if (f->of->devices)
		print_fleet(f);
	fflush(stdout);
}

static void print_json_fleet(const struct bench_figures *f)
{
	const struct bench_fleet_figures *fleet = &f->fleet;

	printf(",\"fleet\":{\"sessions\":%zu,\"tls\":%s,\"up_s\":%.2f,\"up_cpu_s\":%.3f,"
	       "\"back_s\":%.2f,\"back_cpu_s\":%.3f,\"most_in_second\":%zu,\"steady_cpu_us\":%.2f,"
	       "\"resting\":%.4f,"
	       "\"descriptors\":%zu,\"own_rss_kib\":%lld}",
	       f->of->devices, f->of->is_tls ? "true" : "false", fleet->up_s,
	       (double)fleet->up_cpu_us / 1e6, fleet->back_s, (double)fleet->back_cpu_us / 1e6,
	       fleet->most_in_second, fleet->steady_cpu_us, fleet->resting, fleet->descriptors,
	       (long long)fleet->own.rss_kib);
}

static void print_json_row(const struct bench_figures *f, bool is_first)
{
	printf("%s\n{\"scenario\":\"%s\",\"links\":%zu,\"qos\":%d,\"sync\":%s,\"payload_bytes\":%"
	       "zu,",
	       is_first ? "" : ",", f->of->name, f->of->links, f->of->qos,
	       f->of->is_sync ? "true" : "false", f->counts.bytes);
	printf("\"sent\":%llu,\"arrived\":%llu,\"duplicates\":%llu,",
	       (unsigned long long)f->counts.sent, (unsigned long long)f->counts.arrived,
	       (unsigned long long)f->counts.duplicates);
	printf("\"per_second\":%.1f,\"cpu_us\":%.2f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
	       "\"driver\":%.3f,\"others\":%.3f,",
	       f->full.per_second, f->cpu_us, ms(f->full.p50_us), ms(f->full.p99_us), f->driver,
	       f->others);
	printf("\"paced\":{\"per_second\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f},",
	       f->paced.per_second, ms(f->paced.p50_us), ms(f->paced.p99_us));
	printf("\"idle\":{\"rss_kib\":%lld,\"pss_kib\":%lld},", (long long)f->idle.rss_kib,
	       (long long)f->idle.pss_kib);
	printf("\"loaded\":{\"rss_kib\":%lld,\"pss_kib\":%lld,\"processes\":%d}",
	       (long long)f->loaded.rss_kib, (long long)f->loaded.pss_kib, f->loaded.processes);
	if (f->of->devices)
		print_json_fleet(f);
	putchar('}');
}

void bench_report_start(struct bench_report *r, const struct bench_setting *setting)
{
	print_conditions(r, setting);
	if (!r->is_json)
		print_heads();
}

void bench_report_add(struct bench_report *r, const struct bench_figures *f)
{
	if (r->is_json)
		print_json_row(f, r->n == 0);
	else
		print_row(f);
	r->n++;
}

void bench_report_end(struct bench_report *r)
{
	if (r->is_json)
		puts("\n]}");
}
