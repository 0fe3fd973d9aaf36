import type { VNode } from "preact";
import type { Session } from "../session.ts";
import { ChatPage } from "./ChatPage.tsx";
import { SignIn } from "./SignIn.tsx";

export function App(props: { session: Session; signIn: (name: string) => void }): VNode {
  const { session, signIn } = props;
  const chat = session.chat.value;
  if (chat === undefined) return <SignIn signIn={signIn} />;
  return <ChatPage chat={chat} signOut={() => session.signOut()} />;
}
