/* SPDX-License-Identifier: MIT
 *
 * seat.c - who sleeps, who reads the device, across processes
 *
 * A thread that sleeps takes a seat, in shared memory: there others find it and
 * wake it, whatever process it is in. It sleeps on a futex in the seat, or in
 * ppoll() on a datagram socket of its own whose name the seat has.
 *
 * What is ready is told in two steps. The core queues it for each participant
 * that watches the socket; whoever holds the lock then wakes one sleeping
 * thread of that participant, and that thread, with the lock, hands the news to
 * the watches of its process, which may wake another thread. If none of its
 * threads sleeps there is nobody to wake: the queue is looked at whenever one
 * takes the lock.
 *
 * Frames are read into a kit, outside the lock. A kit belongs to who took it,
 * and is taken from one who died; what he had read is processed.
 */
#include "host_priv.h"
#include "sys.h"

/* --- seats --- */

/* A signal handler of the sleeper may set a bit at any time, without the lock.
 */
static uint32_t word_of(const struct seat *s)
{
	return atomic_load((const _Atomic uint32_t *)&s->word);
}

void seat_wake(struct seat *s, uint32_t bit)
{
	uint32_t was = word_of(s);

	atomic_fetch_or((_Atomic uint32_t *)&s->word, bit);
	if (!was && s->sleep != AWAKE && list_empty(&s->wake_link))
		list_push(&host.sh->wakes, &s->wake_link);
}

struct seat *seat_get(void)
{
	struct list *l = list_pop(&host.sh->free);
	struct seat *s;

	s = l ? list_entry(l, struct seat, asleep_link)
	      : arena_alloc(stack_arena(host.st), sizeof(*s));
	if (!s)
		return NULL;
	*s = (struct seat){.party = host.party};
	list_init(&s->asleep_link);
	list_init(&s->party_link);
	list_init(&s->wake_link);
	list_push(&host.sh->parties[s->party].all, &s->owner_link);
	return s;
}

static void seat_up(struct seat *s)
{
	list_remove(&s->asleep_link);
	list_remove(&s->party_link);
	list_remove(&s->wake_link);
	s->sleep = AWAKE;
}

void seat_put(struct seat *s)
{
	seat_up(s);
	list_remove(&s->owner_link);
	list_push_front(&host.sh->free, &s->asleep_link);
}

void seat_sleep(struct seat *s, uint8_t how, bool could_drive)
{
	atomic_store((_Atomic uint32_t *)&s->word, 0);
	s->sleep = how;
	s->is_rung = false;
	s->could_drive = could_drive;
	list_push(&host.sh->parties[s->party].seats, &s->party_link);
	if (could_drive)
		list_push(&host.sh->asleep, &s->asleep_link);
}

bool seat_woke(struct seat *s)
{
	bool was_nudged = s->sleep != AWAKE && word_of(s) & WORD_NUDGED;

	seat_up(s);
	return was_nudged;
}

static struct seat *listener_of(int party)
{
	struct list *seats = &host.sh->parties[party].seats, *l;
	struct seat *s = NULL;

	list_for_each (l, seats) {
		s = list_entry(l, struct seat, party_link);
		if (!s->is_ear)
			break;
	}
	return s;
}

bool seat_tell_news(void)
{
	bool for_keeper = false;
	struct seat *s;
	int party;

	while ((party = stack_next_news(host.st)) >= 0) {
		if (party == host.party && !host.is_guest) {
			host.dispatch();
			continue;
		}
		for_keeper |= party == PARTY_KEEPER;
		host.sh->had_wakes = true; /* it may be stopped */
		s = listener_of(party);
		if (s)
			seat_wake(s, WORD_NEWS);
	}
	return for_keeper;
}

void seat_hand_over(void)
{
	struct list *l;

	/* who is woken for something else may have no use for it, and who comes
	 * without a nudge takes the lease if he has */
	list_for_each (l, &host.sh->asleep) {
		struct seat *s = list_entry(l, struct seat, asleep_link);

		if (word_of(s))
			continue;
		seat_wake(s, WORD_NUDGED);
		return;
	}
}

static void wake_again(struct seat *s, bool all)
{
	if (!word_of(s) || (s->is_rung && !all))
		return;
	s->is_rung = true;
	if (list_empty(&s->wake_link))
		list_push(&host.sh->wakes, &s->wake_link);
}

void seat_wake_marked(bool all)
{
	struct list *l;

	list_for_each (l, &host.sh->asleep)
		wake_again(list_entry(l, struct seat, asleep_link), all);
	for (unsigned i = 0; i < STACK_MAX_PARTIES; i++)
		list_for_each (l, &host.sh->parties[i].seats)
			wake_again(list_entry(l, struct seat, party_link), all);
}

void seat_wake_all(void)
{
	struct list *l;

	for (unsigned i = 0; i < STACK_MAX_PARTIES; i++)
		list_for_each (l, &host.sh->parties[i].seats) {
			struct seat *s = list_entry(l, struct seat, party_link);

			seat_wake(s, WORD_NEWS);
			if (list_empty(&s->wake_link))
				list_push(&host.sh->wakes, &s->wake_link);
		}
}

/* --- kits --- */

static void kit_fill(struct kit *k)
{
	if (k->num_large < RX_LARGE / 2 + 1)
		k->num_large += stack_rx_alloc(host.st, FRAME_LARGE,
					       k->large + k->num_large,
					       RX_LARGE - k->num_large);
	if (k->num_small < RX_BATCH / 2)
		k->num_small += stack_rx_alloc(host.st, FRAME_SMALL,
					       k->small + k->num_small,
					       RX_BATCH - k->num_small);
	/* what repair() believes, whatever the reader does */
	atomic_signal_fence(memory_order_release);
	k->has_small = k->num_small;
	k->has_large = k->num_large;
}

struct kit *kit_take(void)
{
	for (unsigned i = 0; i < NUM_KITS; i++) {
		struct kit *k = &host.sh->kits[i];

		if (k->is_taken)
			continue;
		k->party = host.party;
		atomic_store_explicit(&k->is_taken, true, memory_order_release);
		k->is_drained = false;
		atomic_store(&k->is_reading, false);
		kit_fill(k);
		return k;
	}
	return NULL;
}

size_t kits_memory(void)
{
	size_t sum = 0;

	for (unsigned i = 0; i < NUM_KITS; i++) {
		const struct kit *k = &host.sh->kits[i];

		for (unsigned n = 0; n < k->has_small; n++)
			sum += k->small[n]->b.size;
		for (unsigned n = 0; n < k->has_large; n++)
			sum += k->large[n]->b.size;
	}
	return sum;
}

void kit_give(struct kit *k)
{
	k->is_taken = false;
}

/* A small packet moves out of the large frame, so that the next read finds the
 * same, hot one, and little memory is held by little data. */
static struct frame *keep_small(struct kit *k, const struct frame *big)
{
	struct frame *f = k->small[--k->num_small];

	memcpy(f->data, big->data, big->len);
	f->len = big->len;
	f->l4_off = big->l4_off;
	f->hdr_len = big->hdr_len;
	f->gso_size = big->gso_size;
	f->gso_segs = big->gso_segs;
	f->gso = big->gso;
	f->csum = big->csum;
	f->flags = big->flags;
	return f;
}

void kit_read(struct kit *k)
{
	nsec now = sys_now();
	unsigned num_got = k->num_got;

	atomic_store(&k->is_reading, true);
	k->is_drained = k->num_large == 0;
	while (k->num_large && num_got < RX_BATCH) {
		struct frame *f = k->large[k->num_large - 1];
		int n;

		/* what can't be kept may not be read */
		if (num_got && (k->num_large < 2 || !k->num_small))
			break;
		n = tun_read(&host.tun, f);
		if (n <= 0) {
			k->is_drained = true;
			break;
		}
		if (f->len <= FRAME_SMALL && k->num_small) {
			f = keep_small(k, f);
		} else if (k->num_large > 1) {
			k->num_large--;
		} else {
			k->num_lost++; /* as a full ring of a network card */
			continue;
		}
		f->at = now;
		k->got[num_got++] = f;
		/* at once: a handler may leave this by longjmp() */
		atomic_store_explicit(&k->num_got, num_got,
				      memory_order_release);
	}
	atomic_store(&k->is_reading, false);
}

void kit_process(struct kit *k)
{
	unsigned n = k->num_got;

	if (n) {
		/* first: who dies here must not leave them */
		k->has_small = k->num_small;
		k->has_large = k->num_large;
		k->num_got = 0;
		atomic_signal_fence(memory_order_seq_cst);
		stack_rx(host.st, k->got, n, k->is_drained, host_now());
		host.sh->epoch++;
	}
	kit_fill(k);
}

bool kits_left(bool take)
{
	bool found = false;

	for (unsigned i = 0; i < NUM_KITS; i++) {
		struct kit *k = &host.sh->kits[i];

		/* in this order: who begins to read says so first */
		if (!k->is_taken || !k->num_got || atomic_load(&k->is_reading))
			continue;
		found = true;
		if (take)
			kit_process(k);
	}
	return found;
}

/* --- participants --- */

uint16_t party_new(int pid)
{
	for (unsigned i = 1; i < STACK_MAX_PARTIES; i++)
		if (!host.sh->parties[i].pid) {
			host.sh->parties[i].pid = pid;
			return (uint16_t)i;
		}
	return 0;
}

static void take_tx(struct tx_batch *b)
{
	unsigned n = b->num;

	b->num = 0;
	if (n)
		stack_tx_done(host.st, b->v, b->res, n, host_now());
	b->is_taken = b->is_left = false;
}

/* The token may be his, or he may have died between two of its owners' steps:
 * who steals it does no harm. */
void party_died(uint16_t party)
{
	struct shared *sh = host.sh;
	uint32_t token = party + 1u;
	struct list *l;
	uint64_t t = atomic_load(&sh->tx_token);
	bool was_writing = false;

	for (unsigned i = 0; i < NUM_TX; i++) {
		struct tx_batch *b = &sh->tx[i];

		if (!b->is_taken)
			continue;
		if (b->party == party) {
			was_writing = true;
			b->is_left = true;
		}
		if (b->rescuer == token)
			b->rescuer = 0;
		/* what he has not written, the sentinel will */
		if (b->is_left && !b->rescuer && b->num_written >= b->num)
			take_tx(b);
	}
	if (was_writing && (t & 1))
		atomic_compare_exchange_strong(&sh->tx_token, &t, t + 1);
	atomic_compare_exchange_strong(&sh->log_token, &token, 0);
	if (sh->driver && sh->driver->party == party) {
		sh->driver = NULL;
		sh->epoch++;
	}
	for (unsigned i = 0; i < NUM_KITS; i++)
		if (sh->kits[i].is_taken && sh->kits[i].party == party) {
			atomic_store(&sh->kits[i].is_reading, false);
			kit_process(&sh->kits[i]);
			kit_give(&sh->kits[i]);
		}
	while (!list_empty(&sh->parties[party].all)) {
		l = sh->parties[party].all.next;
		seat_put(list_entry(l, struct seat, owner_link));
	}
	/* not to one of his own; and he may have been on his way to take it */
	if (!sh->driver)
		seat_hand_over();
	/* he may have been about to wake others */
	seat_wake_marked(true);
}

void party_free(uint16_t party)
{
	host.sh->parties[party].pid = 0;
}
