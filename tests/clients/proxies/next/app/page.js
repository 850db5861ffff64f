export default function Page() {
  return <p>A page in front of a gateway.</p>;
}
