import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { userNameOf } from "../session.ts";
import { fieldOf } from "./fieldOf.ts";
import { Logo } from "./Logo.tsx";

export function SignIn({ signIn }: { signIn: (name: string) => void }): VNode {
  const [fault, setFault] = useState<string | undefined>(undefined);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const name = userNameOf(fieldOf(event.currentTarget as HTMLFormElement, "name"));
    if (name === undefined) setFault("A name has 1 to 32 characters and does not begin with ~.");
    else signIn(name);
  };
  return (
    <main class="sign-in">
      <form class="sign-in-card" onSubmit={submit}>
        <Logo />
        <h1>Join the conversation</h1>
        <p class="sign-in-lead">Pick any name. There is no password: this is a server of your own.</p>
        <label for="name">Your name</label>
        <input
          id="name"
          name="name"
          autofocus
          autocomplete="nickname"
          spellcheck={false}
          maxLength={32}
          required
          placeholder="Ann"
          aria-describedby="name-fault"
          aria-invalid={fault !== undefined}
          onInput={() => setFault(undefined)}
        />
        <p id="name-fault" class="fault" role="alert">
          {fault}
        </p>
        <button type="submit" class="primary">
          Sign in
        </button>
        <p class="sign-in-hint">Open a second tab under another name to talk to yourself.</p>
      </form>
    </main>
  );
}
