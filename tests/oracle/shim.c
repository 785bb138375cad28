/*
 * Preloaded into the real pidstat so that it plays a story: paths below /proc and /sys lead to the present instant, the
 * clock is the story's, and pause() turns to the next instant instead of waiting. Everything else is pidstat's own.
 *
 * Every call that pidstat makes to the outside is a dynamic symbol (`nm -D`), so replacing these is complete, needs no
 * privilege, and touches no other process; a mount namespace would need root and a second binary to swap its mounts.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static unsigned instant, seconds;

static const char *setting(const char *name)
{
	const char *value = getenv(name);
	if (!value) {
		fprintf(stderr, "shim: %s is not set\n", name);
		_exit(125);
	}
	return value;
}

/* Calls what the shim hides. */
#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

/* Where a path leads; `room` is PATH_MAX. */
static const char *place(const char *path, char *room)
{
	if (strncmp(path, "/proc", 5) && strncmp(path, "/sys", 4) && strncmp(path, "/etc/passwd", 11))
		return path;
	snprintf(room, 4096, "%s/%u%s", setting("ORACLE_STORY"), instant, path);
	return room;
}

FILE *fopen(const char *path, const char *mode)
{
	char room[4096];
	return NEXT(FILE *(*)(const char *, const char *), "fopen")(place(path, room), mode);
}

int open(const char *path, int flags, ...)
{
	char room[4096];
	va_list rest;
	va_start(rest, flags);
	int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
	va_end(rest);
	return NEXT(int (*)(const char *, int, ...), "open")(place(path, room), flags, mode);
}

int stat(const char *path, struct stat *about)
{
	char room[4096];
	return NEXT(int (*)(const char *, struct stat *), "stat")(place(path, room), about);
}

/*
 * /proc lists its tasks in ascending order, a disk's directory in any; so a listing is read whole and sorted. pidstat
 * reads one inside another (tasks within processes).
 */
struct listing {
	struct dirent **entries;
	int count, at;
};

static int ascending(const struct dirent **a, const struct dirent **b)
{
	unsigned long x = strtoul((*a)->d_name, NULL, 10), y = strtoul((*b)->d_name, NULL, 10);
	return x == y ? strcmp((*a)->d_name, (*b)->d_name) : x < y ? -1 : 1;
}

DIR *opendir(const char *path)
{
	char room[4096];
	struct listing *listing = calloc(1, sizeof(*listing));
	DIR *real = NEXT(DIR *(*)(const char *), "opendir")(place(path, room));
	struct dirent *(*next)(DIR *) = NEXT(struct dirent *(*)(DIR *), "readdir");
	struct dirent *entry;

	if (!real) {
		free(listing);
		return NULL;
	}
	while ((entry = next(real))) {
		listing->entries = realloc(listing->entries, (listing->count + 1) * sizeof(entry));
		struct dirent *copy = malloc(sizeof(*copy));
		memcpy(copy, entry, entry->d_reclen < sizeof(*copy) ? entry->d_reclen : sizeof(*copy));
		listing->entries[listing->count++] = copy;
	}
	NEXT(int (*)(DIR *), "closedir")(real);
	qsort(listing->entries, listing->count, sizeof(entry),
	      (int (*)(const void *, const void *))ascending);
	return (DIR *)listing;
}

struct dirent *readdir(DIR *dir)
{
	struct listing *listing = (struct listing *)dir;
	return listing->at < listing->count ? listing->entries[listing->at++] : NULL;
}

int closedir(DIR *dir)
{
	struct listing *listing = (struct listing *)dir;
	for (int i = 0; i < listing->count; i++)
		free(listing->entries[i]);
	free(listing->entries);
	free(listing);
	return 0;
}

struct passwd *getpwuid(uid_t uid)
{
	static struct passwd entry;
	static char line[4096];
	FILE *file = fopen("/etc/passwd", "r");
	struct passwd *found = NULL;

	while (file && !found && fgets(line, sizeof(line), file)) {
		char *rest = line;
		entry.pw_name = strsep(&rest, ":");
		entry.pw_passwd = strsep(&rest, ":");
		char *number = strsep(&rest, ":");
		if (number && *number && strtoul(number, NULL, 10) == uid)
			found = &entry;
	}
	if (file)
		fclose(file);
	return found;
}

int uname(struct utsname *name)
{
	memset(name, 0, sizeof(*name));
	snprintf(name->sysname, sizeof(name->sysname), "%s", setting("ORACLE_SYSNAME"));
	snprintf(name->nodename, sizeof(name->nodename), "%s", setting("ORACLE_NODENAME"));
	snprintf(name->release, sizeof(name->release), "%s", setting("ORACLE_RELEASE"));
	snprintf(name->machine, sizeof(name->machine), "%s", setting("ORACLE_MACHINE"));
	return 0;
}

long sysconf(int name)
{
	if (name == _SC_CLK_TCK)
		return strtol(setting("ORACLE_CLOCK_TICKS"), NULL, 10);
	if (name == _SC_PAGESIZE)
		return strtol(setting("ORACLE_PAGE_SIZE"), NULL, 10);
	return NEXT(long (*)(int), "sysconf")(name);
}

time_t time(time_t *out)
{
	time_t now = strtoll(setting("ORACLE_EPOCH"), NULL, 10) + (time_t)instant * seconds;
	if (out)
		*out = now;
	return now;
}

unsigned alarm(unsigned interval)
{
	seconds = interval;
	return 0;
}

/* An interval passes. When the story is over, the user presses ^C. */
int pause(void)
{
	struct stat about;

	instant++;
	if (stat("/proc", &about)) {
		instant--;
		raise(SIGINT);
	}
	errno = EINTR;
	return -1;
}
