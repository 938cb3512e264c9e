/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The name of a file that is made, renamed or removed while the machine runs: by a directory that is
 * held open, and the last component. Confined, the process reaches nothing else by name.
 */
#ifndef VMM_SANDBOX_PLACE_H
#define VMM_SANDBOX_PLACE_H

#include <stdbool.h>
#include <sys/stat.h>

/* What is done there. */
#define PLACE_CREATE	 0x1 /* make files, and rename them */
#define PLACE_REMOVE	 0x2 /* remove files that are no directories */
#define PLACE_REMOVE_DIR 0x4 /* remove empty directories */

struct place {
	int dir;
	unsigned int rights; /* 0: not open */
	char *name;	     /* NULL: of place_hold() */
	struct place *next;  /* of all that are open */
};

/*
 * The place of a path, whose last component need not be there. Returns 0 or a negative errno. The struct stays
 * where it is until place_close(). On the thread that opens and closes all of them.
 */
int place_open(struct place *p, const char *path, unsigned int rights);
/*
 * A directory that the caller has open, and closes after place_close(). When the process is confined, the same number
 * is of a descriptor that is good for names alone.
 */
void place_hold(struct place *p, int dir, unsigned int rights);
/* Nothing is done for one that is zero. */
void place_close(struct place *p);

/* Whether what has the name is this inode; somebody may have put another one there. */
bool place_is(int dir, const char *name, const struct stat *inode);

/* All that are open. */
extern struct place *place_first;

#endif
