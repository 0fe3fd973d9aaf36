import type { VNode } from "preact";
import { fieldOf } from "./fieldOf.ts";
import { Icon } from "./Icon.tsx";

/** A room begins to be when someone joins it, so that joining and creating are one. */
export function AddRoom({ open }: { open: (name: string) => void }): VNode {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    open(fieldOf(form, "room"));
    form.reset();
  };
  return (
    <form class="add-room" onSubmit={submit}>
      <input
        name="room"
        aria-label="Join or create a room"
        placeholder="Join or create a room"
        maxLength={40}
        required
        autocomplete="off"
      />
      <button type="submit" class="plain" aria-label="Join">
        <Icon name="plus" />
      </button>
    </form>
  );
}
