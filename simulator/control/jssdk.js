// The simulator's WECOM-JSSDK: what a page in the chat toolbar asks for, answered by whoever's client the hand `open_chat` says.
// Questions travel as script tags, so that a page needs to allow no other origin than the one it loads this script from.
(() => {
  const home = new URL(document.currentScript.src).origin;
  const waiting = new Map();
  let asked = 0;
  let options = null;
  let settled = null;

  window.__wecomAnswer = (id, body) => {
    waiting.get(id)?.(body);
    waiting.delete(id);
  };

  const ask = (name, given) =>
    new Promise((resolve, reject) => {
      const id = String(++asked);
      const script = document.createElement("script");
      const fail = () => reject({ errMsg: `${name}:fail`, errCode: -1 });
      waiting.set(id, (body) => {
        script.remove();
        if (body.errCode) reject(body);
        else resolve(body);
      });
      script.onerror = fail;
      script.src = `${home}/jssdk/${name}?${new URLSearchParams({ ...given, id })}`;
      document.head.append(script);
    });

  const sign = async (kind, maker) => {
    const url = location.href.split("#")[0];
    const { timestamp, nonceStr, signature } = await maker(url);
    const given = { corpid: options.corpId, agentid: options.agentId ?? "", url, timestamp, noncestr: nonceStr, signature };
    await ask(kind, given);
    return given;
  };

  const step = async (kind, maker, told) => {
    if (!maker) return null;
    try {
      const given = await sign(kind, maker);
      told.ok?.({ errMsg: `${kind}:ok` });
      return given;
    } catch (problem) {
      told.fail?.(problem);
      throw problem;
    }
  };

  const call = async (name) => {
    if (!options) throw { errMsg: `${name}:fail not registered`, errCode: -1 };
    const proof = await settled;
    if (!proof || !options.jsApiList.includes(name)) throw { errMsg: `${name}:fail no permission`, errCode: -1 };
    return ask(name, proof);
  };

  window.ww = {
    SDK_VERSION: "simulator",
    register(given) {
      options = given;
      settled = (async () => {
        await step("config", given.getConfigSignature, { ok: given.onConfigSuccess, fail: given.onConfigFail });
        const told = { ok: given.onAgentConfigSuccess, fail: given.onAgentConfigFail };
        return step("agentConfig", given.getAgentConfigSignature, told);
      })();
      settled.catch(() => null);
    },
    getContext: () => call("getContext"),
    getCurExternalContact: () => call("getCurExternalContact"),
    getCurExternalChat: () => call("getCurExternalChat"),
  };
})();
