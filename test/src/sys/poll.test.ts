// Waiting and waking, on eventfds.
import { expect, onTestFinished, test } from "vitest";
import { POLLIN } from "../../../src/sys/libc.ts";
import { Poller, WakeDrain, WakeEvent } from "../../../src/sys/poll.ts";

function openEvent(): WakeEvent {
  const event = new WakeEvent();
  onTestFinished(() => event.close());
  return event;
}

test("a wait without an event ends with 0", () => {
  expect(new Poller([openEvent().fd]).wait(0)).toBe(0);
});

test("a wait tells which descriptor has an event", () => {
  const [first, second] = [openEvent(), openEvent()];
  const poller = new Poller([first.fd, second.fd]);
  second.wake();
  expect(poller.wait(1000)).toBe(1);
  expect([poller.events(0), poller.events(1)]).toEqual([0, POLLIN]);
});

test("an event stays until it is drained, however often it was woken", () => {
  const event = openEvent();
  const poller = new Poller([event.fd]);
  const drain = new WakeDrain(event.fd);
  event.wake();
  event.wake();
  expect(poller.wait(0)).toBe(1);
  expect(poller.wait(0)).toBe(1);
  drain.drain();
  expect(poller.wait(0)).toBe(0);
  expect(poller.events(0)).toBe(0);
});

test("draining an event that nobody woke does not block", () => {
  const event = openEvent();
  new WakeDrain(event.fd).drain();
  event.wake();
  expect(new Poller([event.fd]).wait(0)).toBe(1);
});

test("closing twice is harmless, waking afterwards too", () => {
  const event = new WakeEvent();
  event.close();
  const other = openEvent(); // has the number that became free
  event.close();
  event.wake();
  expect(new Poller([other.fd]).wait(0)).toBe(0);
});
